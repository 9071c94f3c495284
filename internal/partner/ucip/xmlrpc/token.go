package xmlrpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// token is an element's start or end, with the character data before it. Its bytes
// are the document's where they can be.
type token struct{ text, start, end []byte }

// tokens walks over a document of as much XML as XML-RPC needs: elements without
// attributes or namespaces, character data, comments, and a declaration. It
// exists because encoding/xml reads all that XML can be, at many times the cost.
type tokens struct {
	document []byte
	at       int
	closing  []byte // of an element that is empty, which is still to come
}

var (
	errCut       = errors.New("the document is cut short")
	errCharacter = errors.New("a character that XML has not")
	errEntity    = errors.New("an entity that is not known")
)

// next is the next start or end, or io.EOF with the text at the document's end.
func (t *tokens) next() (token, error) {
	if name := t.closing; name != nil {
		t.closing = nil
		return token{end: name}, nil
	}
	var all data
	for {
		text, err := t.text()
		if err != nil {
			return token{}, err
		}
		all.add(text)
		rest := t.document[t.at:]
		switch {
		case len(rest) == 0:
			return token{text: all.text}, io.EOF
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			text, err = t.section()
			all.add(text)
		case bytes.HasPrefix(rest, []byte("<!--")):
			err = t.comment()
		case bytes.HasPrefix(rest, []byte("<?")):
			err = t.declaration()
		case bytes.HasPrefix(rest, []byte("<!")):
			err = errors.New("document type")
		default:
			one, err := t.tag()
			one.text = all.text
			return one, err
		}
		if err != nil {
			return token{}, err
		}
	}
}

// data is character data that may come in parts.
type data struct {
	text []byte
	own  bool // it is not the document's
}

func (d *data) add(part []byte) {
	switch {
	case len(part) == 0:
	case len(d.text) == 0:
		d.text = part
	case d.own:
		d.text = append(d.text, part...)
	default:
		d.text, d.own = slices.Concat(d.text, part), true
	}
}

// until takes what comes before an end, and the end.
func (t *tokens) until(end string) ([]byte, error) {
	rest := t.document[t.at:]
	at := bytes.Index(rest, []byte(end))
	if at < 0 {
		return nil, errCut
	}
	t.at += at + len(end)
	return rest[:at], nil
}

// tag takes an element's start or end. An element that is empty is both.
func (t *tokens) tag() (token, error) {
	part, err := t.until(">")
	if err != nil {
		return token{}, err
	}
	name, isEnd := bytes.CutPrefix(part[1:], []byte("/"))
	isEmpty := false
	if !isEnd {
		name, isEmpty = bytes.CutSuffix(name, []byte("/"))
	}
	if name = bytes.TrimRight(name, " \t\r\n"); !named(name) {
		return token{}, fmt.Errorf("element %.40q has a namespace or attributes, or no name", name)
	}
	switch {
	case isEnd:
		return token{end: name}, nil
	case isEmpty:
		t.closing = name
	}
	return token{start: name}, nil
}

// named reports whether XML-RPC can have such a name.
func named(name []byte) bool {
	for i, c := range name {
		first := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !first && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '-') {
			return false
		}
	}
	return len(name) > 0
}

func (t *tokens) comment() error {
	t.at += len("<!--")
	part, err := t.until("--")
	switch {
	case err != nil:
		return err
	case !bytes.HasPrefix(t.document[t.at:], []byte(">")):
		return errors.New("two hyphens in a comment")
	}
	t.at++
	return characters(part)
}

// declaration takes the XML declaration. It may name an encoding of which UTF-8 is
// the superset.
func (t *tokens) declaration() error {
	t.at += len("<?")
	part, err := t.until("?>")
	if err != nil {
		return err
	}
	words := strings.Fields(string(part))
	if len(words) == 0 || words[0] != "xml" {
		return errors.New("processing instruction")
	}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		if n := len(value); n < 2 || value[0] != value[n-1] || value[0] != '"' && value[0] != '\'' {
			return fmt.Errorf("declaration %.20q", word)
		}
		value = value[1 : len(value)-1]
		switch {
		case name == "version" && value != "1.0":
			return fmt.Errorf("XML %.20q", value)
		case name == "encoding" && !strings.EqualFold(value, "utf-8") && !strings.EqualFold(value, "us-ascii"):
			return fmt.Errorf("character set %.20q", value)
		}
	}
	return nil
}

// section takes a CDATA section.
func (t *tokens) section() ([]byte, error) {
	t.at += len("<![CDATA[")
	part, err := t.until("]]>")
	if err != nil {
		return nil, err
	}
	return lines(part), characters(part)
}

// text takes character data up to the next tag or the end.
func (t *tokens) text() ([]byte, error) {
	part := t.document[t.at:]
	if end := bytes.IndexByte(part, '<'); end >= 0 {
		part = part[:end]
	}
	t.at += len(part)
	if bytes.Contains(part, []byte("]]>")) {
		return nil, errors.New("]]> outside of CDATA")
	}
	if err := characters(part); err != nil {
		return nil, err
	}
	return resolve(lines(part))
}

// lines ends lines as XML has it, whatever ended them.
func lines(text []byte) []byte {
	if bytes.IndexByte(text, '\r') < 0 {
		return text
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
}

// characters returns an error unless a text has only characters of XML.
func characters(text []byte) error {
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= ' ' && r < utf8.RuneSelf {
			i++
			continue
		}
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		if r == utf8.RuneError && size == 1 || !inXML(r) {
			return errCharacter
		}
		i += size
	}
	return nil
}

// inXML reports whether XML has a character.
func inXML(r rune) bool {
	return r >= 0x20 && r <= 0xd7ff || r == '\t' || r == '\n' || r == '\r' || r >= 0xe000 && r <= 0xfffd ||
		r >= 0x10000 && r <= utf8.MaxRune
}

var entities = map[string]rune{"lt": '<', "gt": '>', "amp": '&', "apos": '\'', "quot": '"'}

// resolve puts characters in the place of entities.
func resolve(text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '&') < 0 {
		return text, nil
	}
	var plain []byte
	for {
		before, rest, more := bytes.Cut(text, []byte("&"))
		plain = append(plain, before...)
		if !more {
			return plain, nil
		}
		name, after, closed := bytes.Cut(rest, []byte(";"))
		if !closed {
			return nil, errEntity
		}
		r, known := entities[string(name)]
		if number, numeric := bytes.CutPrefix(name, []byte("#")); numeric {
			base := 10
			if hex, isHex := bytes.CutPrefix(number, []byte("x")); isHex {
				number, base = hex, 16
			}
			n, err := strconv.ParseUint(string(number), base, 31)
			r, known = rune(n), err == nil && inXML(rune(n))
		}
		if !known {
			return nil, errEntity
		}
		plain = utf8.AppendRune(plain, r)
		text = after
	}
}
