package person

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of what is kept for a time.
type Kind string

// The kinds. What the ledger and the log need is never deleted: a purchase whose time is over
// loses its numbers, and nothing else.
const (
	Numbers     Kind = "numbers"     // of purchases, and of the cases, messages and requests about them
	Texts       Kind = "texts"       // what people wrote of cases, reports, requests and callbacks that are over; partners' words
	Messages    Kind = "messages"    // the texts of notices and other messages to customers
	Attachments Kind = "attachments" // files of cases that are over
	Looks       Kind = "looks"       // which of the staff looked at what
	Calls       Kind = "calls"       // whose the calls to line 121 were; what became of them stays
	Statements  Kind = "statements"  // the lines of partners' statements; their sums stay
)

// Kinds lists them, in the order in which they are gone through.
var Kinds = []Kind{Attachments, Texts, Messages, Looks, Calls, Statements, Numbers}

// Terms say for how long each kind is kept; what is not named is kept for good.
type Terms map[Kind]time.Duration

const day = 24 * time.Hour

// ParseTerms reads terms in days by kind. Whoever writes a kind that there is not, or less than a day, is told so.
func ParseTerms(days map[string]int) (Terms, error) {
	t := Terms{}
	for kind, n := range days {
		switch {
		case !slices.Contains(Kinds, Kind(kind)):
			names := make([]string, len(Kinds))
			for i, k := range Kinds {
				names[i] = string(k)
			}
			return nil, fmt.Errorf("%q is not kept by itself; there are %s", kind, strings.Join(names, ", "))
		case n < 1 || n > 36500:
			return nil, fmt.Errorf("%s: %d days: 1 to 36500 are needed", kind, n)
		}
		t[Kind(kind)] = time.Duration(n) * day
	}
	return t, nil
}
