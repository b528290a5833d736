package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Sizes of a plot in SVG user units.
const (
	plotLeft, plotTop, plotHeight  = 70, 60, 260
	groupWidth, plotBottom, barGap = 110, 70, 4
)

// palette gives each system its colour; they differ in lightness too, for
// readers and printers without colour.
var palette = []string{"#1b4f8f", "#e8a33d", "#9c3d3d", "#9aa5b1"}

// Plot draws a metric of one profile as grouped bars in SVG: a group for each
// case, a bar for each system's median, a whisker over its spread.
func (s Set) Plot(title string, metric string) string {
	cases, systems := s.Cases(), s.Systems()
	top := niceCeiling(Summarise(s.Values(metric)).Max)
	width := plotLeft + groupWidth*len(cases) + 20
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n",
		width, plotTop+plotHeight+plotBottom)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="20" font-size="14">%s</text>`+"\n", plotLeft, html.EscapeString(title))
	drawAxis(&b, top, width)
	for i, name := range systems {
		x := plotLeft + 140*i
		fmt.Fprintf(&b, `<rect x="%d" y="32" width="10" height="10" fill="%s"/><text x="%d" y="41">%s</text>`+"\n",
			x, palette[i%len(palette)], x+14, html.EscapeString(name))
	}
	barWidth := (groupWidth - 20) / max(1, len(systems))
	for i, name := range cases {
		left := plotLeft + groupWidth*i + 10
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n",
			left+groupWidth/2-10, plotTop+plotHeight+18, html.EscapeString(name))
		for k, system := range systems {
			values := s.Case(name).System(system).Values(metric)
			drawBar(&b, left+k*barWidth, barWidth-barGap, palette[k%len(palette)], Summarise(values), top)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawAxis(b *strings.Builder, top float64, width int) {
	const steps = 5
	for i := range steps + 1 {
		v := top * float64(i) / steps
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, width-20, height(v, top), height(v, top), plotLeft-6, height(v, top)+4, format(v))
	}
}

func drawBar(b *strings.Builder, x, width int, colour string, s Summary, top float64) {
	if s.Runs == 0 {
		return
	}
	y := height(s.Median, top)
	fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%d" height="%.1f" fill="%s"><title>%s</title></rect>`+"\n",
		x, y, width, plotTop+plotHeight-y, colour, s)
	middle := float64(x) + float64(width)/2
	if s.Runs > 1 {
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="black"/>`+"\n", middle, middle, height(s.Min, top), height(s.Max, top))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="9">%s</text>`+"\n", middle, height(s.Max, top)-3, format(s.Median))
}

// height is the y coordinate of a value.
func height(v, top float64) float64 {
	return plotTop + plotHeight*(1-v/top)
}

// niceCeiling rounds up to a figure that five steps divide well.
func niceCeiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power
}
