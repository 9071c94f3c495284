package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object's members as they stand in the body. It exists
// because encoding/json lets pass what a request that moves money must not
// hold: duplicate members (the last would win), members in another case,
// invalid UTF-8, data after the object.
type object map[string]json.RawMessage

// readObject reads a body that must be exactly one JSON object with no member
// twice and none but the known ones.
func readObject(body []byte, known ...string) (object, *Problem) {
	bad := func(format string, args ...any) (object, *Problem) {
		return nil, problem(CodeBody, fmt.Sprintf(format, args...))
	}
	if !utf8.Valid(body) {
		return bad("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return bad("the body must be one JSON object")
	}
	members := object{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return bad("the body is not JSON at byte %d", dec.InputOffset())
		}
		name, _ := token.(string)
		if !slices.Contains(known, name) {
			return bad("unknown field %.40q; known are %s", name, strings.Join(known, ", "))
		}
		if _, twice := members[name]; twice {
			return bad("field %q is given twice", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return bad("the body is not JSON at byte %d", dec.InputOffset())
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return bad("the body is cut short")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("there is data after the JSON object")
	}
	return members, nil
}

// text returns a member that must be a string of at most limit characters, or "" without it.
func (o object) text(name string, limit int) (string, *Problem) {
	raw, given := o[name]
	if !given {
		return "", nil
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", problem(CodeBody, name+" must be a string").of(name)
	}
	if utf8.RuneCountInString(s) > limit {
		return "", problem(CodeBody, fmt.Sprintf("%s must have at most %d characters", name, limit)).of(name)
	}
	return s, nil
}

// flag returns a member that must be true or false, or false without it.
func (o object) flag(name string) (bool, *Problem) {
	switch raw, given := o[name]; {
	case !given || string(raw) == "false":
		return false, nil
	case string(raw) == "true":
		return true, nil
	}
	return false, problem(CodeBody, name+" must be true or false").of(name)
}

// What a member that must be a whole number can be instead.
var (
	errNumber   = errors.New("not a number")
	errFraction = errors.New("with a fraction or an exponent")
	errTooLarge = errors.New("too large")
)

// whole returns a member that must be a JSON number written with digits alone,
// and whether it is given. A fraction is refused even where it is zero, so that
// nobody ever wonders whether 10.50 is ten or a thousand.
func (o object) whole(name string) (n int64, given bool, err error) {
	raw, given := o[name]
	if !given {
		return 0, false, nil
	}
	n, err = strconv.ParseInt(string(raw), 10, 64)
	switch {
	case err == nil:
		return n, true, nil
	case raw[0] != '-' && (raw[0] < '0' || raw[0] > '9'):
		return 0, true, errNumber
	case errors.Is(err, strconv.ErrRange):
		return 0, true, errTooLarge
	}
	return 0, true, errFraction
}
