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
type object struct {
	known  []string // the members that it may have
	values [][]byte // theirs, in the same order; nil without it
}

// readObject reads a body that must be exactly one JSON object with no member
// twice and none but the known ones.
func readObject(body []byte, known []string) (object, *Problem) {
	c := cursor{text: body}
	switch {
	case !utf8.Valid(body):
		return object{}, problem(CodeBody, "the body is not UTF-8")
	case c.next() != '{':
		return object{}, problem(CodeBody, "the body must be one JSON object")
	case !json.Valid(body):
		return object{}, unreadable(body)
	}
	return c.object(known)
}

// unreadable says where a body ceases to be one JSON value.
func unreadable(body []byte) *Problem {
	dec := json.NewDecoder(bytes.NewReader(body))
	var one json.RawMessage
	switch err := dec.Decode(&one); {
	case err == nil:
		return problem(CodeBody, "there is data after the JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem(CodeBody, "the body is cut short")
	default:
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return problem(CodeBody, fmt.Sprintf("the body is not JSON at byte %d", syntax.Offset))
		}
		return problem(CodeBody, "the body is not JSON")
	}
}

// cursor walks over text that is valid JSON.
type cursor struct {
	text []byte
	at   int
}

// next is the next byte that is not blank, 0 at the end.
func (c *cursor) next() byte {
	for ; c.at < len(c.text); c.at++ {
		switch c.text[c.at] {
		case ' ', '\t', '\r', '\n':
		default:
			return c.text[c.at]
		}
	}
	return 0
}

// more steps over the delimiter before the next of a list's or an object's
// parts. It steps over the end and returns false when there is none.
func (c *cursor) more(end byte) bool {
	last := c.next() == end
	if last || c.text[c.at] == ',' {
		c.at++
	}
	return !last
}

// value returns the value that comes next, and goes on behind it.
func (c *cursor) value() []byte {
	c.next()
	from := c.at
	switch c.text[c.at] {
	case '"':
		c.skipString()
	case '{', '[':
		c.skipNested()
	default:
		for c.at < len(c.text) && !bytes.ContainsRune([]byte(" \t\r\n,]}"), rune(c.text[c.at])) {
			c.at++
		}
	}
	return c.text[from:c.at]
}

func (c *cursor) skipString() {
	for c.at++; c.text[c.at] != '"'; c.at++ {
		if c.text[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
}

func (c *cursor) skipNested() {
	for depth := 0; ; {
		switch c.text[c.at] {
		case '"':
			c.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if c.at++; depth == 0 {
			return
		}
	}
}

// object reads the object that comes next.
func (c *cursor) object(known []string) (object, *Problem) {
	o := object{known, make([][]byte, len(known))}
	c.at++
	for c.more('}') {
		name := c.value()
		c.next()
		c.at++ // the colon
		value := c.value()
		i := slices.IndexFunc(known, func(known string) bool { return says(name, known) })
		switch {
		case i < 0:
			text, _ := unquote(name)
			return object{}, problem(CodeBody, fmt.Sprintf("unknown field %.40q; known are %s", text, strings.Join(known, ", ")))
		case o.values[i] != nil:
			return object{}, problem(CodeBody, fmt.Sprintf("field %q is given twice", known[i]))
		}
		o.values[i] = value
	}
	return o, nil
}

// unquote returns what a value says that must be a string.
func unquote(value []byte) (text string, ok bool) {
	if value[0] != '"' {
		return "", false
	}
	if !bytes.ContainsRune(value, '\\') {
		return string(value[1 : len(value)-1]), true
	}
	return text, json.Unmarshal(value, &text) == nil
}

// says reports whether a value that is a string says a text.
func says(value []byte, text string) bool {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1:len(value)-1]) == text
	}
	said, ok := unquote(value)
	return ok && said == text
}

// member returns a member as it stands in the body, nil without it.
func (o object) member(name string) []byte { return o.values[slices.Index(o.known, name)] }

// text returns a member that must be a string of at most limit characters, or "" without it.
func (o object) text(name string, limit int) (string, *Problem) {
	raw := o.member(name)
	if raw == nil {
		return "", nil
	}
	s, ok := unquote(raw)
	if !ok {
		return "", problem(CodeBody, name+" must be a string").of(name)
	}
	if utf8.RuneCountInString(s) > limit {
		return "", problem(CodeBody, fmt.Sprintf("%s must have at most %d characters", name, limit)).of(name)
	}
	return s, nil
}

// flag returns a member that must be true or false, or false without it.
func (o object) flag(name string) (bool, *Problem) {
	switch raw := o.member(name); {
	case raw == nil || string(raw) == "false":
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
	raw := o.member(name)
	if raw == nil {
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
