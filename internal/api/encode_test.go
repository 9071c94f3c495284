package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// What is written by hand is to the byte what encoding/json would write, with every
// field given and with none.
func TestMarshal(t *testing.T) {
	var full Purchase
	fill(t, reflect.ValueOf(&full).Elem())
	full.Timeline = nil
	texts := full
	texts.Message, texts.Reference, texts.Product = "« Crédité » <&> \u2028\ufffd", "\"\\\n\x00", "\xff\u007f"
	shown := full
	shown.Timeline = []Entry{{Text: "asked"}}
	problem := problem(CodeRate, "\"too many\"").after(time.Minute)
	for _, v := range []any{full, Purchase{}, texts, shown, Batch{Answers: []Answer{}},
		Batch{Answers: []Answer{{"key", 201, &full, nil}, {"", 429, nil, problem}, {"<k>", 200, &texts, problem}}}} {
		var got, want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		if err := marshal(&got, v); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("got  %swant %s", got.String(), want.String())
		}
	}
}

// fill gives every field a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(-7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMicro(1_800_000_000_120_000).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}
