package xmlrpc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tenu/internal/fuzztest"
)

// FuzzParse: what is read costs memory in proportion to its size, is within the
// bounds, can be written, and is read again as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(head + `<value><struct><member><name>a</name><value><i4>2</i4></value></member></struct></value>` + tail))
	f.Add([]byte(`<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1001</int></value></member><member><name>faultString</name><value>no</value></member></struct></value></fault></methodResponse>`))
	f.Add([]byte(`<methodCall><methodName>Refill</methodName><params><param><value><array><data><value><double>1.5</double></value></data></array></value></param></params></methodCall>`))
	f.Add([]byte(head + `<value><dateTime.iso8601>19980817T14:08:59+0130</dateTime.iso8601></value>` + tail))
	f.Add([]byte(`<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>` + head + `<value>&b;</value>` + tail))
	f.Add([]byte(head + strings.Repeat(`<value><array><data>`, 2*MaxDepth)))
	f.Add([]byte(head + `<value>` + strings.Repeat(`<a>`, 1000)))
	f.Add([]byte(head + `<value>` + strings.Repeat(`<!---->`, 100) + strings.Repeat(`<![CDATA[]]>`, 100) + `</value>` + tail))
	f.Add([]byte(head + `<value>` + strings.Repeat(`a<!---->`, 10_000) + `</value>` + tail))
	f.Add([]byte(head + `<value><base64>` + strings.Repeat("AAAA\n", 50) + `</base64></value>` + tail))
	f.Add([]byte(`<a` + strings.Repeat(` b=""`, 10_000) + `/>`))
	f.Add([]byte(`<!-- ' --><a` + strings.Repeat(` b='>'`, 10_000) + `/>`))
	f.Add([]byte(`<!--><a` + strings.Repeat(` b='>'`, 10_000) + `--/>`))
	f.Add([]byte(`<?a ?` + strings.Repeat(` b='>'`, 10_000) + `/>`))
	f.Add([]byte(head + `<value><base64>` + strings.Repeat("A ", 10_000) + `</base64></value>` + tail))
	f.Add([]byte(head + `<value a="` + strings.Repeat("&#65;", 100) + `"/>` + tail))
	f.Fuzz(func(t *testing.T, document []byte) {
		var value any
		var method string
		var params []any
		var err, callErr error
		fuzztest.Within(t, 64<<10+48*len(document), func() {
			value, err = ParseResponse(document)
			method, params, callErr = ParseCall(document)
		})
		if fault := (*Fault)(nil); errors.As(err, &fault) {
			if len(fault.Error()) > 1<<10 {
				t.Errorf("a fault of %d bytes", len(fault.Error()))
			}
		}
		if err == nil {
			checkValue(t, value, MaxDepth)
			written, err := Response(value)
			if err != nil {
				t.Fatalf("read %#v, cannot be written: %v", value, err)
			}
			again, err := ParseResponse(written)
			if err != nil || !reflect.DeepEqual(utc(again), utc(value)) {
				t.Fatalf("%#v\nread again as %#v, %v", value, again, err)
			}
		}
		if callErr == nil {
			written, err := Call(method, params...)
			if err != nil {
				t.Fatalf("read %q %#v, cannot be written: %v", method, params, err)
			}
			sameMethod, sameParams, err := ParseCall(written)
			if err != nil || sameMethod != method || !reflect.DeepEqual(utc(sameParams), utc(params)) {
				t.Fatalf("%q %#v\nread again as %q %#v, %v", method, params, sameMethod, sameParams, err)
			}
		}
	})
}

// checkValue checks that a value is of the types and the depth that are promised.
func checkValue(t *testing.T, value any, depth int) {
	t.Helper()
	if depth == 0 {
		t.Fatal("too deep")
	}
	switch v := value.(type) {
	case Struct:
		for _, member := range v {
			checkValue(t, member, depth-1)
		}
	case []any:
		for _, item := range v {
			checkValue(t, item, depth-1)
		}
	case nil:
		t.Fatal("a value of nothing")
	}
}

// FuzzText: a text is read as it was written, or cannot be written.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "<&>\"'", "\r\n\t ", "]]>", "\x00", "\ufffe", "a\xffb", " é "} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		document, err := Call("Refill", Struct{name: text, "x": []any{text}})
		if err != nil {
			if !errors.Is(err, ErrUnfit) {
				t.Fatal(err)
			}
			return
		}
		method, params, err := ParseCall(document)
		want := []any{Struct{"x": []any{text}, strings.TrimSpace(name): text}}
		if name := strings.TrimSpace(name); name == "x" || name != strings.TrimSpace(name) {
			return // the same member twice
		}
		if err != nil || method != "Refill" || !reflect.DeepEqual(params, want) {
			t.Fatalf("%q and %q are written as %s and read as %#v, %v", name, text, document, params, err)
		}
	})
}

// FuzzTokens: a document that is taken is taken as encoding/xml takes it.
func FuzzTokens(f *testing.F) {
	for _, document := range []string{
		`<?xml version="1.0" encoding="utf-8"?><a><b>x&amp;y&#65;&#x42;</b ><c/> z</a>`,
		"<a>one\r\ntwo\rthree<!-- no --><![CDATA[<&\r\n]]>four</a>", `<a></b>`, `<a`, `&lt`, `]]>`, `<!DOCTYPE a>`, `<a:b/>`, "\ufeff<a/>",
	} {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		ours, err := ourTokens(document)
		if err != nil {
			return
		}
		theirs, err := theirTokens(document)
		if err != nil || !slices.Equal(ours, theirs) {
			t.Errorf("%q is read as\n%q, and by encoding/xml as\n%q, %v", document, ours, theirs, err)
		}
	})
}

func ourTokens(document []byte) (found []string, err error) {
	r := tokens{document: document}
	for {
		one, err := r.next()
		if len(one.text) > 0 {
			found = append(found, "text "+string(one.text))
		}
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		case len(one.start) > 0:
			found = append(found, "start "+string(one.start))
		default:
			found = append(found, "end "+string(one.end))
		}
	}
}

func theirTokens(document []byte) (found []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(document))
	d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	text := ""
	put := func(token string) {
		if text != "" {
			found = append(found, "text "+text)
		}
		text = ""
		if token != "" {
			found = append(found, token)
		}
	}
	for {
		one, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			put("")
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		switch one := one.(type) {
		case xml.CharData:
			text += string(one)
		case xml.StartElement:
			put("start " + one.Name.Local)
		case xml.EndElement:
			put("end " + one.Name.Local)
		}
	}
}
