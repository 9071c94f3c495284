package hook

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// MaxQuery bounds a listener's query, in bytes.
const MaxQuery = 512

// Selected are the types of events that a query selects of those that are known, "" or none for all: eventType=A,B (TMF630). It
// returns an error that says why a query selects none.
func Selected(query string, known []string) (types []string, err error) {
	if len(query) > MaxQuery {
		return nil, fmt.Errorf("at most %d bytes", MaxQuery)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	for name, given := range values {
		if name != "eventType" {
			return nil, errors.New("only eventType is known")
		}
		for _, each := range given {
			types = append(types, strings.Split(each, ",")...)
		}
	}
	for _, each := range types {
		if !slices.Contains(known, each) {
			return nil, errors.New("known events are " + strings.Join(known, ", "))
		}
	}
	return types, nil
}
