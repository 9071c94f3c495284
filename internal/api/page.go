package api

import (
	"bytes"
	_ "embed" // the page's template and stylesheet
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle []byte

// pageCSP lets the page load its stylesheet and nothing else: it holds no script.
const pageCSP = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// page is what the template shows: the OpenAPI document, resolved and ordered.
type page struct {
	Title, Version, Description string
	Groups                      []group
	Schemas                     []schema
	Problems                    any
}

type group struct {
	Name       string
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary, Description, Scope string
	Params                                        []field
	Body                                          *schema
	Answers                                       []answer
	Example                                       string
}

type answer struct {
	Status, Description string
	Type                template.HTML
}

type schema struct {
	Name   string
	Fields []field
}

type field struct {
	Name, In, Doc, Example string
	Required               bool
	Type                   template.HTML
}

// renderPage renders the document once, as a page that needs no script and no
// other machine.
func renderPage(doc *huma.OpenAPI) (http.Handler, error) {
	set := template.New("page").Funcs(template.FuncMap{"prose": prose})
	set, err := set.Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	p := page{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description, Problems: kinds}
	paths := make([]string, 0, len(doc.Paths))
	for path := range doc.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Post, item.Get, item.Put} {
			if op != nil {
				p.add(doc, op)
			}
		}
	}
	slices.SortStableFunc(p.Groups, func(x, y group) int { return tagAt(doc, x.Name) - tagAt(doc, y.Name) })
	registry := doc.Components.Schemas.Map()
	names := make([]string, 0, len(registry))
	for name := range registry {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.Schemas = append(p.Schemas, *describe(doc, name))
	}
	var out bytes.Buffer
	if err := set.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("execute template: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pageCSP)
		constant("text/html; charset=utf-8", out.Bytes()).ServeHTTP(w, r)
	}), nil
}

func (p *page) add(doc *huma.OpenAPI, op *huma.Operation) {
	o := operation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	if len(op.Security) > 0 {
		o.Scope = strings.Join(op.Security[0][scheme], ", ")
	}
	for _, param := range op.Parameters {
		f := property(param.Name, param.Schema)
		f.In, f.Required = param.In, param.Required
		if param.Description != "" {
			f.Doc = param.Description
		}
		o.Params = append(o.Params, f)
	}
	if op.RequestBody != nil {
		if media := op.RequestBody.Content["application/json"]; media != nil && media.Schema != nil {
			o.Body = describe(doc, refName(media.Schema.Ref))
		}
	}
	for status, response := range op.Responses {
		a := answer{Status: status, Description: response.Description}
		for _, media := range response.Content {
			if media.Schema != nil {
				a.Type = typeOf(media.Schema)
			}
		}
		o.Answers = append(o.Answers, a)
	}
	slices.SortFunc(o.Answers, func(x, y answer) int { return strings.Compare(x.Status, y.Status) })
	o.Example = curl(&o)
	tag := op.Tags[0]
	at := slices.IndexFunc(p.Groups, func(g group) bool { return g.Name == tag })
	if at < 0 {
		p.Groups = append(p.Groups, group{Name: tag})
		at = len(p.Groups) - 1
	}
	p.Groups[at].Operations = append(p.Groups[at].Operations, o)
}

// tagAt is where a tag stands in the document.
func tagAt(doc *huma.OpenAPI, name string) int {
	return slices.IndexFunc(doc.Tags, func(t *huma.Tag) bool { return t.Name == name })
}

// curl is a command line that makes the request.
func curl(o *operation) string {
	if o.Scope == "" {
		return ""
	}
	lines := []string{"curl -H \"Authorization: Bearer $TENU_KEY\""}
	path := strings.NewReplacer("{reference}", "K7M2-Q4XD-9T", "{number}", "70112233").Replace(o.Path)
	if o.Method != http.MethodGet {
		lines = append(lines, "-H 'Content-Type: application/json'")
	}
	if slices.ContainsFunc(o.Params, func(f field) bool { return f.Name == "Idempotency-Key" }) {
		lines = append(lines, "-H \"Idempotency-Key: $(uuidgen)\"")
	}
	if o.Body != nil {
		var members []string
		for _, f := range o.Body.Fields {
			if f.Required || f.Name == "amount" { // airtime needs one
				members = append(members, fmt.Sprintf("%q: %s", f.Name, f.Example))
			}
		}
		lines = append(lines, "-d '{"+strings.Join(members, ", ")+"}'")
	}
	for _, f := range o.Params {
		if f.In == "query" && f.Required {
			path += "?" + f.Name + "=70112233"
		}
	}
	return strings.Join(append(lines, "$TENU_URL"+path), " \\\n  ")
}

func describe(doc *huma.OpenAPI, name string) *schema {
	s := doc.Components.Schemas.Map()[name]
	if s == nil {
		return nil
	}
	out := &schema{Name: name}
	names := make([]string, 0, len(s.Properties))
	for property := range s.Properties {
		names = append(names, property)
	}
	slices.SortFunc(names, func(x, y string) int {
		rx, ry := slices.Contains(s.Required, x), slices.Contains(s.Required, y)
		if rx != ry {
			return map[bool]int{true: -1, false: 1}[rx]
		}
		return strings.Compare(x, y)
	})
	for _, each := range names {
		f := property(each, s.Properties[each])
		f.Required = slices.Contains(s.Required, each)
		out.Fields = append(out.Fields, f)
	}
	return out
}

func property(name string, s *huma.Schema) field {
	f := field{Name: name}
	if s == nil {
		return f
	}
	f.Doc, f.Type = s.Description, typeOf(s)
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, each := range s.Enum {
			words[i] = fmt.Sprintf("`%v`", each)
		}
		f.Doc = strings.TrimSpace(f.Doc + " One of " + strings.Join(words, ", ") + ".")
	}
	if len(s.Examples) > 0 {
		if example, err := json.Marshal(s.Examples[0]); err == nil {
			f.Example = string(example)
		}
	}
	return f
}

func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// typeOf is a schema's type in a word, linked to its description where it has one.
func typeOf(s *huma.Schema) template.HTML {
	switch {
	case s.Ref != "":
		name := template.HTMLEscapeString(refName(s.Ref))
		return template.HTML(`<a href="#` + name + `">` + name + `</a>`) //nolint:gosec // names of Go types, escaped
	case s.Type == huma.TypeArray && s.Items != nil:
		return "list of " + typeOf(s.Items)
	case s.Format != "" && s.Type == huma.TypeString:
		return template.HTML(template.HTMLEscapeString(s.Format)) //nolint:gosec // escaped
	}
	return template.HTML(template.HTMLEscapeString(s.Type)) //nolint:gosec // escaped
}

// prose is a description with its `code` marked.
func prose(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			out.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
			continue
		}
		out.WriteString(template.HTMLEscapeString(part))
	}
	return template.HTML(out.String()) //nolint:gosec // every part is escaped
}
