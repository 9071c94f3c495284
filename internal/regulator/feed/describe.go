package feed

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// text is a string's schema.
func text(pattern, about string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: pattern, Description: about}
}

// The forms of periods.
const (
	monthForm = `^\d{4}-\d{2}$`
	dayForm   = `^\d{4}-\d{2}-\d{2}$`
)

// named names schemas: what the regulator's figures hold begins with Kept, as some are called like what is sent.
func named(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/regulator") {
		return "Kept" + name
	}
	return name
}

// document describes the interface in OpenAPI 3.1, its schemas read off what is sent.
func document(version string) ([]byte, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", named)
	schema := func(t reflect.Type) *huma.Schema { return registry.Schema(t, true, "") }
	trouble := schema(reflect.TypeFor[problem]())
	operation := func(id, about string, statuses map[string]string, content map[string]*huma.MediaType, parameters ...*huma.Param) *huma.PathItem {
		op := &huma.Operation{OperationID: id, Summary: about, Parameters: parameters, Security: []map[string][]string{{"key": {}}},
			Responses: map[string]*huma.Response{"200": {Description: "What was asked for.", Content: content}}}
		for status, why := range map[string]string{"400": "A question that cannot be read.", "401": "No key, or one that is over.", "403": "A key without the scope regulator:read.",
			"429": "Too many requests.", "500": "Something went wrong here.", "503": "Not available at the moment."} {
			op.Responses[status] = &huma.Response{Description: why, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: trouble}}}
		}
		for status, why := range statuses {
			op.Responses[status] = &huma.Response{Description: why, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: trouble}}}
		}
		return &huma.PathItem{Get: op}
	}
	is := func(t reflect.Type) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: schema(t)}}
	}
	in := func(where, name string, needed bool, s *huma.Schema) *huma.Param {
		return &huma.Param{Name: name, In: where, Required: needed, Schema: s, Description: s.Description}
	}
	file := map[string]*huma.MediaType{}
	for _, kind := range []string{"application/json", "application/pdf", "application/vnd.apache.parquet", "text/csv", "text/html"} {
		file[kind] = &huma.MediaType{}
	}
	doc := &huma.OpenAPI{OpenAPI: "3.1.0", Info: &huma.Info{Title: "tenu, for a regulator", Version: version, Description: "Figures with one definition each, and the months that are published. " +
		"A period has 400 days at most, and there is one report a month: nothing is paged."},
		Paths: map[string]*huma.PathItem{
			Base + "/figures": operation("figures", "The figures of a month, or of days.", map[string]string{"422": "No such period or profile."}, is(reflect.TypeFor[Figures]()),
				in("query", "month", false, text(monthForm, "a month, instead of days")), in("query", "from", false, text(dayForm, "the first day")),
				in("query", "till", false, text(dayForm, "the last day")), in("query", "profile", false, text("", "the country whose limits they are held against; left out: the installation's own"))),
			Base + "/definitions": operation("definitions", "What each figure is.", nil, is(reflect.TypeFor[[]Definition]())),
			Base + "/reports":     operation("reports", "The months that are published.", nil, is(reflect.TypeFor[[]Month]())),
			Base + "/reports/{month}/{file}": operation("report", "A file as it was published.", map[string]string{"404": "No such report."}, file,
				in("path", "month", true, text(monthForm, "the month")), in("path", "file", true, text("", "the file's name, as reports lists it"))),
		},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer", Description: "a key of a client with the scope regulator:read"}}}}
	written, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("describe the feed: %w", err)
	}
	return written, nil
}

// Description answers GET Base/openapi.json.
func (f *Feed) Description(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, err := w.Write(f.description)
	return err
}
