// Package xmlrpc reads and writes XML-RPC documents as Ericsson's UCIP uses
// them: https://xmlrpc.com/spec.md, with a time zone allowed in dates. It knows
// no transport and no method.
//
// A value is a string, int64, bool, float64, time.Time, []byte, []any of values,
// or Struct. The reader is strict and bounded: it accepts no document type, no
// unknown element, no member twice, and limits depth, count and size.
package xmlrpc

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Struct is a struct's members by name.
type Struct map[string]any

// Fault is an answer that says that the call could not be processed.
type Fault struct {
	Code int64
	Text string
}

// Error is the fault's code and text.
func (f *Fault) Error() string { return fmt.Sprintf("fault %d: %.160s", f.Code, f.Text) }

// TimeFormat is how dates are written: ISO 8601 basic date, time, zone.
const TimeFormat = "20060102T15:04:05-0700"

// Bounds of a document that is read.
const (
	MaxDepth  = 16    // nested values
	MaxValues = 10000 // in all
)

// ErrUnfit is wrapped by the error of a value that cannot be written.
var ErrUnfit = errors.New("cannot be written as XML-RPC")

// Call writes a method call, or returns an error that wraps ErrUnfit.
func Call(method string, params ...any) ([]byte, error) {
	w := writer{}
	w.text(xml.Header + "<methodCall><methodName>")
	w.escape(method)
	w.text("</methodName><params>")
	for _, param := range params {
		w.text("<param>")
		w.value(param, MaxDepth)
		w.text("</param>")
	}
	w.text("</params></methodCall>")
	return w.done()
}

// Response writes the answer to a call, or returns an error that wraps ErrUnfit.
func Response(value any) ([]byte, error) {
	w := writer{}
	w.text(xml.Header + "<methodResponse><params><param>")
	w.value(value, MaxDepth)
	w.text("</param></params></methodResponse>")
	return w.done()
}

// FaultResponse writes an answer that says that a call could not be processed.
func FaultResponse(fault Fault) ([]byte, error) {
	w := writer{}
	w.text(xml.Header + "<methodResponse><fault>")
	w.value(Struct{"faultCode": fault.Code, "faultString": fault.Text}, MaxDepth)
	w.text("</fault></methodResponse>")
	return w.done()
}

// writer builds a document and remembers the first error.
type writer struct {
	buffer bytes.Buffer
	err    error
}

func (w *writer) done() ([]byte, error) { return w.buffer.Bytes(), w.err }

func (w *writer) text(text string) { w.buffer.WriteString(text) }

// escape writes character data. XML has no way to write some characters.
func (w *writer) escape(text string) {
	unfit := func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unfit) {
		w.fail("text %.40q", text)
		return
	}
	if strings.ContainsAny(text, "\"'&<>\t\n\r") {
		_ = xml.EscapeText(&w.buffer, []byte(text)) // a buffer takes everything
		return
	}
	w.text(text)
}

func (w *writer) fail(format string, arguments ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("%w: "+format, append([]any{ErrUnfit}, arguments...)...)
	}
}

func (w *writer) element(name, text string) {
	w.text("<")
	w.text(name)
	w.text(">")
	w.escape(text)
	w.text("</")
	w.text(name)
	w.text(">")
}

func (w *writer) value(value any, depth int) {
	if depth == 0 {
		w.fail("more than %d levels", MaxDepth)
		return
	}
	w.text("<value>")
	switch v := value.(type) {
	case string:
		w.element("string", v)
	case int:
		w.integer(int64(v))
	case int64:
		w.integer(v)
	case bool:
		digit := "0"
		if v {
			digit = "1"
		}
		w.element("boolean", digit)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			w.fail("%v", v)
		}
		w.element("double", strconv.FormatFloat(v, 'f', -1, 64))
	case time.Time:
		if v.Year() < 0 || v.Year() > 9999 {
			w.fail("year %d", v.Year())
		}
		w.element("dateTime.iso8601", v.Format(TimeFormat))
	case []byte:
		w.element("base64", base64.StdEncoding.EncodeToString(v))
	case []any:
		w.text("<array><data>")
		for _, item := range v {
			w.value(item, depth-1)
		}
		w.text("</data></array>")
	case Struct:
		w.text("<struct>")
		for _, name := range slices.Sorted(maps.Keys(v)) {
			w.text("<member>")
			w.element("name", name)
			w.value(v[name], depth-1)
			w.text("</member>")
		}
		w.text("</struct>")
	default:
		w.fail("a %T", value)
	}
	w.text("</value>")
}

// integer writes a 32-bit integer; the protocol has no larger ones.
func (w *writer) integer(v int64) {
	if v < math.MinInt32 || v > math.MaxInt32 {
		w.fail("%d is beyond 32 bits", v)
	}
	w.element("i4", strconv.FormatInt(v, 10))
}
