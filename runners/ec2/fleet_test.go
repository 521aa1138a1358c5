package ec2

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/launchplan/launch/internal/ec2test"
)

// Of a large run those that are waited for are asked for in one call, and what is unknown among them does not keep the others
// from being seen.
func TestLookAtMany(t *testing.T) {
	w := newWorld(t, ec2test.Options{})
	r := w.runner()
	const n = maxByID + 50
	run := &ec2.RunInstancesInput{ImageId: aws.String("ami-12345678"), InstanceType: "t3.micro", MinCount: aws.Int32(n), MaxCount: aws.Int32(n)}
	run.TagSpecifications = tagSpecs(r.runTags(), "instance")
	started, err := r.cloud.ec2.RunInstances(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, i := range started.Instances {
		ids[aws.ToString(i.InstanceId)] = true
	}
	for unknown, calls := range map[string]int{"": 1, "i-0123456789abcdef0": 4} { // refused, by tag, and the last by filter and among all
		if unknown != "" {
			ids[unknown] = true
		}
		before := w.Report().Calls["DescribeInstances"]
		seen, err := r.fleet.describe(t.Context(), ids)
		if err != nil || len(seen) != n {
			t.Errorf("%d of %d are seen: %v", len(seen), n, err)
		}
		if made := w.Report().Calls["DescribeInstances"] - before; made != calls {
			t.Errorf("%d calls, want %d", made, calls)
		}
		delete(ids, unknown)
	}
}
