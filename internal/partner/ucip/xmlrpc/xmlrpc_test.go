package xmlrpc

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// values are what both sides can say.
func values(depth int) *rapid.Generator[any] {
	text := rapid.StringMatching(`[ -~\n\t]{0,20}|[é€😀&<>"']{0,5}`)
	scalars := []*rapid.Generator[any]{
		rapid.Map(text, func(s string) any { return s }),
		rapid.Map(rapid.Int32(), func(n int32) any { return int64(n) }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) any { return append([]byte{}, b...) }),
		rapid.Map(rapid.Int64Range(0, 253402300799), func(s int64) any { return time.Unix(s, 0).UTC() }),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	inner := values(depth - 1)
	return rapid.OneOf(append(scalars,
		rapid.Map(rapid.SliceOfN(inner, 0, 3), func(l []any) any { return append([]any{}, l...) }),
		rapid.Map(rapid.MapOfN(rapid.StringMatching(`[a-zA-Z0-9]{1,8}`), inner, 0, 3), func(m map[string]any) any { return Struct(m) }),
	)...)
}

// utc puts times in one zone, for comparison.
func utc(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.UTC()
	case []any:
		for i := range v {
			v[i] = utc(v[i])
		}
	case Struct:
		for name := range v {
			v[name] = utc(v[name])
		}
	}
	return v
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := values(3).Draw(t, "value")
		document, err := Response(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseResponse(document)
		if err != nil || !reflect.DeepEqual(utc(got), want) {
			t.Fatalf("%s\nread as %#v, %v", document, got, err)
		}
		document, err = Call("Some.Method", want, "second")
		if err != nil {
			t.Fatal(err)
		}
		method, params, err := ParseCall(document)
		if err != nil || method != "Some.Method" || !reflect.DeepEqual(utc(params), []any{want, "second"}) {
			t.Fatalf("%s\nread as %s %#v, %v", document, method, params, err)
		}
	})
}

func TestFaultIsReadBack(t *testing.T) {
	document, err := FaultResponse(Fault{1007, "Overload rejection"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParseResponse(document)
	var fault *Fault
	if !errors.As(err, &fault) || fault.Code != 1007 || fault.Text != "Overload rejection" {
		t.Errorf("read as %v", err)
	}
}

func TestUnfitValues(t *testing.T) {
	deep := any("x")
	for range MaxDepth {
		deep = []any{deep}
	}
	for name, v := range map[string]any{"control character": "a\x00b", "broken text": "\xff", "large": int64(math.MaxInt32) + 1,
		"not a number": math.NaN(), "a type of ours": struct{}{}, "nothing": nil, "deep": deep,
		"a year": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "a member's name": Struct{"\x01": 1}} {
		if _, err := Response(v); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Call("\x00"); !errors.Is(err, ErrUnfit) {
		t.Errorf("method: %v", err)
	}
}

const head, tail = `<?xml version="1.0"?><methodResponse><params><param>`, `</param></params></methodResponse>`

func TestAsOthersWriteIt(t *testing.T) {
	want := time.Date(1998, 8, 17, 12, 38, 59, 0, time.UTC)
	for name, c := range map[string]struct {
		document string
		want     any
	}{
		"no type":       {head + `<value>a b</value>` + tail, "a b"},
		"empty":         {head + `<value/>` + tail, ""},
		"empty string":  {head + `<value><string/></value>` + tail, ""},
		"CDATA":         {head + `<value><string><![CDATA[<&>]]></string></value>` + tail, "<&>"},
		"comment":       {head + `<value><string>a<!-- b -->c</string></value>` + tail, "ac"},
		"int":           {head + `<value><int> -7 </int></value>` + tail, int64(-7)},
		"zone":          {head + `<value><dateTime.iso8601>19980817T14:08:59+0130</dateTime.iso8601></value>` + tail, want},
		"Z":             {head + `<value><dateTime.iso8601>19980817T12:38:59Z</dateTime.iso8601></value>` + tail, want},
		"no zone":       {head + `<value><dateTime.iso8601>19980817T12:38:59</dateTime.iso8601></value>` + tail, want},
		"spread out":    {head + "\n<value>\n<struct>\n<member>\n<name>\na\n</name>\n<value>\n<i4>2</i4>\n</value>\n</member>\n</struct>\n</value>\n" + tail + "\n", Struct{"a": int64(2)}},
		"character set": {strings.Replace(head, `"1.0"`, `"1.0" encoding="US-ASCII"`, 1) + `<value>x</value>` + tail, "x"},
	} {
		if got, err := ParseResponse([]byte(c.document)); err != nil || !reflect.DeepEqual(utc(got), c.want) {
			t.Errorf("%s: %#v, %v", name, got, err)
		}
	}
	if method, params, err := ParseCall([]byte(`<methodCall><methodName> Get </methodName></methodCall>`)); err != nil || method != "Get" || len(params) != 0 {
		t.Errorf("call without params: %q %v %v", method, params, err)
	}
}

func TestRefusedDocuments(t *testing.T) {
	member := `<member><name>a</name><value>1</value></member>`
	for name, document := range map[string]string{
		"nothing":        "",
		"text":           "502 Bad Gateway",
		"other root":     `<html></html>`,
		"document type":  `<!DOCTYPE x [<!ENTITY a "b">]>` + head + `<value>&a;</value>` + tail,
		"entity":         head + `<value>&a;</value>` + tail,
		"instruction":    head + `<?php x?><value/>` + tail,
		"character set":  `<?xml version="1.0" encoding="utf-16"?>` + head[21:] + `<value/>` + tail,
		"attribute":      head + `<value a="b"/>` + tail,
		"namespace":      `<x:methodResponse xmlns:x="y"/>`,
		"cut":            head + `<value><string>a`,
		"two values":     head + `<value/><value/>` + tail,
		"two params":     `<methodResponse><params><param><value/></param><param><value/></param></params></methodResponse>`,
		"follows":        head + `<value/>` + tail + `<more/>`,
		"text follows":   head + `<value/>` + tail + `more`,
		"unknown type":   head + `<value><nil/></value>` + tail,
		"mixed":          head + `<value>a<string>b</string></value>` + tail,
		"member twice":   head + `<value><struct>` + member + member + `</struct></value>` + tail,
		"large int":      head + `<value><int>2147483648</int></value>` + tail,
		"boolean":        head + `<value><boolean>true</boolean></value>` + tail,
		"double":         head + `<value><double>Inf</double></value>` + tail,
		"base64":         head + `<value><base64>*</base64></value>` + tail,
		"date":           head + `<value><dateTime.iso8601>201807122T10:51:21+0200</dateTime.iso8601></value>` + tail,
		"crossed":        head + `<value><string>a</value></string>` + tail,
		"deep":           head + strings.Repeat(`<value><array><data>`, MaxDepth) + `<value/>` + strings.Repeat(`</data></array></value>`, MaxDepth) + tail,
		"many":           head + `<value><array><data>` + strings.Repeat(`<value/>`, MaxValues) + `</data></array></value>` + tail,
		"bare fault":     `<methodResponse><fault><value>no</value></fault></methodResponse>`,
		"fault and more": `<methodResponse><fault><value/></fault><params/></methodResponse>`,
	} {
		if got, err := ParseResponse([]byte(document)); err == nil {
			t.Errorf("%s: read as %#v", name, got)
		}
	}
	if _, _, err := ParseCall([]byte(`<methodCall><methodName/></methodCall>`)); err == nil {
		t.Error("a call without a method was read")
	}
}
