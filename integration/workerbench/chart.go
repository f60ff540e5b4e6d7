package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chartOf draws the time of a job, in milliseconds on a logarithmic scale: for
// each load a bar for the floor, the worker and the reference.
func chartOf(r results) string {
	const (
		left, right, top = 110.0, 70.0, 52.0
		width            = 820.0
		thick, gap       = 11.0, 14.0
	)
	least, most := math.Inf(1), 0.0
	for _, one := range r.all {
		for _, o := range one.shown() {
			least, most = min(least, o.seconds*1e3), max(most, o.seconds*1e3)
		}
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	x := func(ms float64) float64 {
		return left + (math.Log10(ms)-low)/max(1, high-low)*(width-left-right)
	}
	height := top + 24
	for _, one := range r.all {
		height += thick*float64(len(one.shown())) + gap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="10" y="20" font-size="14" fill="#222222">Time of one job, ms, logarithmic: shorter is better</text>`+"\n")
	at := 10.0
	for _, c := range contestants {
		fmt.Fprintf(&b, `<rect x="%.0f" y="30" width="10" height="10" fill="%s"/><text x="%.0f" y="39" fill="#222222">%s</text>`+"\n", at, c.color, at+14, c.label)
		at += 24 + 7*float64(len(c.label))
	}
	for decade := low; decade <= high; decade++ {
		ms := math.Pow(10, decade)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f" stroke="#dddddd"/>`, x(ms), top, x(ms), height-20)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle" fill="#666666">%g</text>`+"\n", x(ms), height-8, ms)
	}
	y := top
	for _, one := range r.all {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.1f" text-anchor="end" fill="#222222">%s</text>`+"\n", left-8, y+thick*float64(len(one.shown()))/2+4, html.EscapeString(one.name))
		for _, o := range one.shown() {
			end := x(o.seconds * 1e3)
			fmt.Fprintf(&b, `<rect x="%.0f" y="%.1f" width="%.1f" height="%.0f" fill="%s"/>`, left, y, end-left, thick-1, o.color)
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" font-size="9" fill="#444444">%s</text>`+"\n", end+4, y+thick-2.5, milliseconds(o.seconds))
			y += thick
		}
		y += gap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

var contestants = []struct{ label, color string }{
	{"floor: the guest alone", "#9aa5b1"}, {"worker", "#1f77b4"}, {"reference worker", "#e08a3c"},
}

// shown is a bar of the chart.
type shown struct {
	seconds float64
	color   string
}

func (r result) shown() []shown {
	bars := []shown{{r.floor.perJob(), contestants[0].color}, {r.worker.perJob(), contestants[1].color}}
	if r.reference != nil {
		bars = append(bars, shown{r.reference.perJob(), contestants[2].color})
	}
	return bars
}
