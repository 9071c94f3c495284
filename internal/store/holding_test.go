package store

import (
	"fmt"
	"slices"
)

// Holding is what a test may know of a table's columns.
type Holding struct {
	Table                          string
	Keys, Numbers, Texts, Own, All []string
	Sealed                         []string
	Drop                           bool
	named                          []string // by its other fields
}

// Holdings are those of every table.
func Holdings() (all []Holding) {
	for i := range holdings {
		h := &holdings[i]
		x := Holding{Table: h.table, Keys: h.keys(), Numbers: h.numbers(), Texts: h.texts(), All: h.columns(), Drop: h.drop, Sealed: h.seals()}
		x.Own = (&holding{own: h.own}).columns()
		x.named = slices.Clone(x.Keys)
		for _, link := range h.links() {
			x.named = append(x.named, link[0])
		}
		if h.at != "" {
			x.named = append(x.named, h.at)
		}
		all = append(all, x)
	}
	return all
}

// Untreated lists what a schema's columns and the holdings do not agree on.
func Untreated(schema map[string][]string) (wrong []string) {
	said := map[string]bool{}
	for _, h := range Holdings() {
		for _, column := range h.Sealed {
			if !slices.Contains(h.Texts, column) && !slices.Contains(h.Own, column) {
				wrong = append(wrong, fmt.Sprintf("%s.%s is sealed, and is neither a text nor its own", h.Table, column))
			}
		}
		columns, there := schema[h.Table]
		if said[h.Table] {
			wrong = append(wrong, h.Table+" is listed twice")
		}
		said[h.Table] = true
		if !there {
			wrong = append(wrong, h.Table+" is listed, and there is no such table")
			continue
		}
		for i, column := range h.All {
			if slices.Contains(h.All[:i], column) {
				wrong = append(wrong, fmt.Sprintf("%s.%s is in two lists", h.Table, column))
			}
			if !slices.Contains(columns, column) {
				wrong = append(wrong, fmt.Sprintf("%s.%s is listed, and there is no such column", h.Table, column))
			}
		}
		for _, column := range columns {
			if !slices.Contains(h.All, column) {
				wrong = append(wrong, fmt.Sprintf("%s.%s: say in holdings whether it may hold a number, and what becomes of it", h.Table, column))
			}
		}
		for _, column := range h.named {
			if !slices.Contains(columns, column) {
				wrong = append(wrong, fmt.Sprintf("%s has no %s", h.Table, column))
			}
		}
	}
	for table := range schema {
		if !said[table] {
			wrong = append(wrong, table+": say in holdings what it may hold of a person")
		}
	}
	slices.Sort(wrong)
	return wrong
}
