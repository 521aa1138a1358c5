package plan

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"unicode/utf8"
)

// Sizes of the drawing, in pixels.
const (
	svgMargin    = 24
	svgRow       = 34 // a service
	svgBox       = 26 // its box
	svgHead      = 30 // a level's name
	svgPad       = 14
	svgLevelGap  = 20
	svgColumnGap = 90
	svgDetour    = 22  // below the levels that a line goes around
	svgCharacter = 7.4 // of the 12px font, on the wide side
)

// A svgLevel is where a level is drawn.
type svgLevel struct {
	x, y, width, height int
}

// WriteSVG draws the graph: levels in columns, from left to right in the order in which they
// begin, dashed lines from a level to those that wait for it, arrows from a
// service to those that use its values. The drawing needs nothing beside itself.
func (g *Graph) WriteSVG(w io.Writer) error {
	out := bufio.NewWriter(w)
	places, bottoms, width, height := g.layOut()
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="ui-sans-serif, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif">
<style>
.level { fill: #f4f6fa; stroke: #b9c3d6; }
.name { font-size: 13px; font-weight: 600; fill: #2b3a55; }
.service { fill: #ffffff; stroke: #5a7bb5; }
.several { fill: #e8eefb; stroke: #5a7bb5; }
.label { font-size: 12px; fill: #1c2536; }
.after { fill: none; stroke: #b9c3d6; stroke-width: 2; stroke-dasharray: 5 4; }
.refers { fill: none; stroke: #d9822b; stroke-width: 1.4; opacity: 0.85; }
</style>
<defs>
<marker id="refers" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#d9822b"/></marker>
<marker id="after" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#b9c3d6"/></marker>
</defs>
<rect width="100%%" height="100%%" fill="#ffffff"/>
`, width, height, width, height)
	for _, level := range g.Levels {
		for _, earlier := range level.After {
			from, to := places[earlier], places[level]
			drawCurve(out, "after", from.x+from.width, from.y+svgHead/2, to.x, to.y+svgHead/2)
		}
	}
	for _, level := range g.Levels {
		drawLevel(out, level, places[level])
	}
	for _, node := range g.Nodes {
		for _, used := range node.Refers {
			drawReference(out, used, node, places, bottoms)
		}
	}
	for _, level := range g.Levels { // on top of the lines that pass behind them
		drawServices(out, level, places[level])
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// layOut gives every level its place: a column for each step, levels of a column below each other.
func (g *Graph) layOut() (places map[*GraphLevel]svgLevel, bottoms []int, width, height int) {
	columns := 0
	for _, level := range g.Levels {
		columns = max(columns, level.Column+1)
	}
	widths := make([]int, columns)
	for _, level := range g.Levels {
		widths[level.Column] = max(widths[level.Column], level.svgWidth())
	}
	lefts := make([]int, columns)
	x := svgMargin
	for i, columnWidth := range widths {
		lefts[i] = x
		x += columnWidth + svgColumnGap
	}
	places = map[*GraphLevel]svgLevel{}
	bottoms = make([]int, columns)
	for _, level := range g.Levels {
		y := svgMargin
		if bottoms[level.Column] > 0 {
			y = bottoms[level.Column] + svgLevelGap
		}
		box := svgLevel{lefts[level.Column], y, widths[level.Column], svgHead + svgRow*max(len(level.Services), 1)}
		places[level] = box
		bottoms[level.Column] = box.y + box.height
		height = max(height, bottoms[level.Column])
	}
	return places, bottoms, max(x-svgColumnGap+svgMargin, 2*svgMargin), height + svgMargin + svgDetour
}

func (l *GraphLevel) svgWidth() int {
	longest := utf8.RuneCountInString(l.Name) + 1
	for _, node := range l.Services {
		longest = max(longest, utf8.RuneCountInString(node.label())+2)
	}
	return int(float64(longest)*svgCharacter) + 2*svgPad
}

func drawLevel(out io.Writer, level *GraphLevel, at svgLevel) {
	fmt.Fprintf(out, `<rect class="level" x="%d" y="%d" width="%d" height="%d" rx="8"/>`+"\n", at.x, at.y, at.width, at.height)
	fmt.Fprintf(out, `<text class="name" x="%d" y="%d">%s</text>`+"\n", at.x+svgPad, at.y+20, html.EscapeString(level.Name))
}

func drawServices(out io.Writer, level *GraphLevel, at svgLevel) {
	for i, node := range level.Services {
		class := "service"
		if node.Many != "" {
			class = "several"
		}
		y := at.y + svgHead + i*svgRow
		fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="6"><title>%s</title></rect>`+"\n",
			class, at.x+svgPad, y, at.width-2*svgPad, svgBox, html.EscapeString(node.Address))
		fmt.Fprintf(out, `<text class="label" x="%d" y="%d">%s</text>`+"\n", at.x+svgPad+8, y+17, html.EscapeString(node.label()))
	}
}

// drawReference draws the line from a service to one that uses its values. Where
// columns lie between, it goes around below them.
func drawReference(out io.Writer, used, user *GraphNode, places map[*GraphLevel]svgLevel, bottoms []int) {
	fromX, fromY := serviceEnd(places[used.Level], used, true)
	toX, toY := serviceEnd(places[user.Level], user, false)
	below := 0
	for column := used.Level.Column + 1; column < user.Level.Column; column++ {
		below = max(below, bottoms[column])
	}
	if below == 0 {
		drawCurve(out, "refers", fromX, fromY, toX, toY)
		return
	}
	below += svgDetour / 2
	left, right := fromX+svgColumnGap, toX-svgColumnGap
	fmt.Fprintf(out, `<path class="refers" d="M%d,%d C%d,%d %d,%d %d,%d L%d,%d C%d,%d %d,%d %d,%d" marker-end="url(#refers)"/>`+"\n",
		fromX, fromY, fromX+svgColumnGap/2, fromY, left-svgColumnGap/2, below, left, below,
		right, below, right+svgColumnGap/2, below, toX-svgColumnGap/2, toY, toX, toY)
}

// serviceEnd is where lines to or from a service meet its box.
func serviceEnd(at svgLevel, node *GraphNode, right bool) (x, y int) {
	y = at.y + svgHead + node.row*svgRow + svgBox/2
	if right {
		return at.x + at.width - svgPad, y
	}
	return at.x + svgPad, y
}

func drawCurve(out io.Writer, class string, x1, y1, x2, y2 int) {
	bend := max((x2-x1)/2, 30)
	fmt.Fprintf(out, `<path class="%s" d="M%d,%d C%d,%d %d,%d %d,%d" marker-end="url(#%s)"/>`+"\n",
		class, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, class)
}
