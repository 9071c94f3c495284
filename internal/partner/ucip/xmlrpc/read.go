package xmlrpc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ParseCall reads a method call.
func ParseCall(document []byte) (method string, params []any, err error) {
	r := reader{tokens: tokens{document: document}}
	err = r.document("methodCall", func() error {
		if method, err = r.leaf("methodName"); err != nil {
			return err
		}
		if method = strings.TrimSpace(method); method == "" {
			return errors.New("no method is named")
		}
		if string(r.next.start) != "params" {
			return nil
		}
		return r.within("params", func() error {
			for string(r.next.start) == "param" {
				if err := r.within("param", func() error {
					value, err := r.value(MaxDepth)
					params = append(params, value)
					return err
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return "", nil, fmt.Errorf("read call: %w", err)
	}
	return method, params, nil
}

// ParseResponse reads the answer to a call: its one value, or a *Fault as the error.
func ParseResponse(document []byte) (any, error) {
	r := reader{tokens: tokens{document: document}}
	var value any
	var fault error
	err := r.document("methodResponse", func() error {
		if string(r.next.start) == "fault" {
			return r.within("fault", func() error {
				v, err := r.value(MaxDepth)
				if err == nil {
					fault, err = asFault(v)
				}
				return err
			})
		}
		return r.within("params", func() error {
			return r.within("param", func() (err error) {
				value, err = r.value(MaxDepth)
				return err
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	return value, fault
}

func asFault(value any) (*Fault, error) {
	members, _ := value.(Struct)
	code, isCode := members["faultCode"].(int64)
	text, isText := members["faultString"].(string)
	if !isCode || !isText || len(members) != 2 {
		return nil, errors.New("malformed fault")
	}
	return &Fault{code, text}, nil
}

// reader walks a document one element ahead.
type reader struct {
	tokens tokens
	values int
	// next is what comes after the last thing read: an element's start or end,
	// and the character data before it.
	next token
}

// advance reads up to the next element's start or end.
func (r *reader) advance() (err error) {
	r.next, err = r.tokens.next()
	return err
}

// document reads the whole document.
func (r *reader) document(root string, content func() error) error {
	if err := r.advance(); err != nil {
		return err
	}
	if err := r.enter(root); err != nil {
		return err
	}
	if err := content(); err != nil {
		return err
	}
	if err := r.leave(root); err != nil {
		return err
	}
	if err := r.advance(); !errors.Is(err, io.EOF) || !blank(r.next.text) {
		return errors.New("something follows the document")
	}
	return nil
}

// within reads an element with elements inside, and moves past its end.
func (r *reader) within(name string, content func() error) error {
	if err := r.enter(name); err != nil {
		return err
	}
	if err := content(); err != nil {
		return err
	}
	if err := r.leave(name); err != nil {
		return err
	}
	return r.advance()
}

func (r *reader) enter(name string) error {
	if string(r.next.start) != name || !blank(r.next.text) {
		return r.unexpected("<" + name + ">")
	}
	return r.advance()
}

// leave checks that the next thing is an element's end.
func (r *reader) leave(name string) error {
	if string(r.next.end) != name || !blank(r.next.text) {
		return r.unexpected("</" + name + ">")
	}
	return nil
}

// leaf reads an element with character data inside, and moves past its end.
func (r *reader) leaf(name string) (string, error) {
	if err := r.enter(name); err != nil {
		return "", err
	}
	if string(r.next.end) != name {
		return "", r.unexpected("</" + name + ">")
	}
	text := string(r.next.text)
	return text, r.advance()
}

func (r *reader) unexpected(wanted string) error {
	return fmt.Errorf("%s expected near byte %d", wanted, r.tokens.at)
}

// value reads a <value> element of at most depth levels, and moves past its end.
func (r *reader) value(depth int) (value any, err error) {
	if r.values++; depth == 0 || r.values > MaxValues {
		return nil, errors.New("too deep or too many values")
	}
	if err := r.enter("value"); err != nil {
		return nil, err
	}
	if string(r.next.end) == "value" { // without a type it is a string
		text := string(r.next.text)
		return text, r.advance()
	}
	if !blank(r.next.text) {
		return nil, r.unexpected("<type>")
	}
	switch kind := string(r.next.start); kind {
	case "struct":
		value, err = r.members(depth)
	case "array":
		value, err = r.items(depth)
	default:
		var text string
		if text, err = r.leaf(kind); err == nil {
			value, err = scalar(kind, text)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := r.leave("value"); err != nil {
		return nil, err
	}
	return value, r.advance()
}

func (r *reader) members(depth int) (Struct, error) {
	members := Struct{}
	err := r.within("struct", func() error {
		for string(r.next.start) == "member" {
			if err := r.within("member", func() error {
				name, err := r.leaf("name")
				if err != nil {
					return err
				}
				name = strings.TrimSpace(name)
				if _, twice := members[name]; twice {
					return fmt.Errorf("member %.40q twice", name)
				}
				members[name], err = r.value(depth - 1)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return members, err
}

func (r *reader) items(depth int) ([]any, error) {
	items := []any{}
	err := r.within("array", func() error {
		return r.within("data", func() error {
			for string(r.next.start) == "value" {
				item, err := r.value(depth - 1)
				if err != nil {
					return err
				}
				items = append(items, item)
			}
			return nil
		})
	})
	return items, err
}

// scalar reads a value's text by its type.
func scalar(kind, text string) (any, error) {
	value, err := parse(kind, text)
	if errors.Is(err, errType) {
		return nil, fmt.Errorf("%.40q is %w %.20s", text, err, kind)
	}
	return value, err
}

var errType = errors.New("not of type")

func parse(kind, text string) (any, error) {
	if kind == "string" {
		return text, nil
	}
	text = strings.TrimSpace(text)
	switch kind {
	case "int", "i4":
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, errType
		}
		return n, nil
	case "boolean":
		if text != "0" && text != "1" {
			return nil, errType
		}
		return text == "1", nil
	case "double":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(text, "xX_") {
			return nil, errType
		}
		return f, nil
	case "dateTime.iso8601":
		for _, layout := range []string{TimeFormat, "20060102T15:04:05Z07:00", "20060102T15:04:05"} {
			if t, err := time.Parse(layout, text); err == nil {
				return t, nil
			}
		}
		return nil, errType
	case "base64":
		data, err := base64.StdEncoding.DecodeString(strings.Map(packed, text))
		if err != nil {
			return nil, errType
		}
		return data, nil
	}
	return nil, fmt.Errorf("unknown type %.20q", kind)
}

// packed leaves out white space.
func packed(r rune) rune {
	if unicode.IsSpace(r) {
		return -1
	}
	return r
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }
