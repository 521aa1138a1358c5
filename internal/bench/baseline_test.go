package main

import (
	"slices"
	"testing"
)

func TestOnlyALossOfMoreThanAThirdIsTold(t *testing.T) {
	kept := map[string]float64{"a": 1, "b": 1, "gone": 1}
	got := compareBaseline(kept, []row{{name: "a", ratio: 1.3}, {name: "b", ratio: 1.4}, {name: "new", ratio: 9}, {name: "gone", ratio: 9, alone: true}})
	if want := []string{"b: 1.40, was 1.00"}; !slices.Equal(got, want) {
		t.Errorf("slower = %q, want %q", got, want)
	}
}

// What takes twice as long on a machine on which all does is not slower.
func TestBudgetsAreJudgedByTheMachinesPace(t *testing.T) {
	kept := map[string]float64{"a": row{ratio: 1, pace: 2}.kept(), "b": row{ratio: 1, pace: 2}.kept()}
	got := compareBaseline(kept, []row{{name: "a", ratio: 2, pace: 4}, {name: "b", ratio: 3, pace: 4}})
	if want := []string{"b: 3.00, was 2.00"}; !slices.Equal(got, want) {
		t.Errorf("slower = %q, want %q", got, want)
	}
}
