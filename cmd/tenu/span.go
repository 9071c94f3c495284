package main

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"tenu/internal/yamlfile"
)

// span is a duration of the configuration, written "1m30s". One that cannot be
// read is remembered rather than refused at once, so that checkSpans can tell
// its line and key.
type span struct {
	time.Duration
	bad string
}

// UnmarshalYAML reads the text.
func (s *span) UnmarshalYAML(read func(any) error) error {
	var text string
	if err := read(&text); err != nil {
		s.bad = "a duration such as 1m30s is needed"
		return nil //nolint:nilerr // see checkSpans
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		s.bad = fmt.Sprintf("%q is not a duration such as 1m30s", text)
	case d < 0:
		s.bad = "must not be negative"
	}
	s.Duration = d
	return nil
}

// checkSpans finds the first span that could not be read, by its path in the file.
func checkSpans(file *yamlfile.File, path string, v reflect.Value) error {
	if s, ok := v.Interface().(span); ok {
		if s.bad != "" {
			return file.Errorf(path, "%s", s.bad)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return checkSpans(file, path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := checkSpans(file, fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if err := checkSpans(file, fmt.Sprintf("%s.%s", path, key), v.MapIndex(key)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("yaml")
			if key == "" {
				continue
			}
			if err := checkSpans(file, strings.TrimPrefix(path+"."+key, "."), v.Field(i)); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}
