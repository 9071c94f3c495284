package api_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		OperationID string
		Security    []map[string][]string
		Parameters  []struct {
			Name, In string
			Required bool
		}
		RequestBody *struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				}
			}
		}
		Responses map[string]struct {
			Description string
			Content     map[string]any
		}
	}
	Components struct {
		Schemas map[string]struct {
			Properties           map[string]any
			Required             []string
			AdditionalProperties any
		}
		SecuritySchemes map[string]any
	}
}

// The surface, as it is promised. A line that goes away breaks somebody.
var surface = []string{
	"GET /v1/deployment purchases:read 200 401 403 429 500 503",
	"GET /v1/lines/{number}/balance balance:read 200 401 403 404 422 429 500 503",
	"GET /v1/products products:read 200 401 403 422 429 500 503",
	"GET /v1/purchases purchases:read 200 400 401 403 422 429 500 503",
	"GET /v1/purchases/{reference} purchases:read 200 400 401 403 404 429 500 503",
	"GET /v1/purchases/{reference}/events purchases:read 200 204 400 401 403 404 422 429 500 503",
	"GET /v1/purchases/{reference}/receipt purchases:read 200 400 401 403 404 422 429 500 503",
	"POST /callbacks/{partner} - 204 400 401 413 500 503",
	"POST /v1/purchases purchases:write 200 201 400 401 403 409 413 415 422 429 500 503",
	"POST /v1/purchases/batch purchases:write 200 400 401 403 413 415 422 429 500 503",
	"PUT /callbacks/{partner} - 204 400 401 413 500 503",
}

func TestOpenAPI(t *testing.T) {
	r := start(t, nil)
	a := r.do("GET", "/openapi.json", "", "Authorization:")
	var doc document
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || a.Header.Get("Content-Type") != "application/openapi+json" || doc.Components.SecuritySchemes["key"] == nil {
		t.Errorf("OpenAPI %s as %s", doc.OpenAPI, a.Header.Get("Content-Type"))
	}
	var got []string
	for path, operations := range doc.Paths {
		for method, op := range operations {
			line := []string{strings.ToUpper(method), path, "-"}
			if len(op.Security) == 1 {
				line[2] = strings.Join(op.Security[0]["key"], ",")
			}
			var statuses []string
			for status, response := range op.Responses {
				statuses = append(statuses, status)
				if response.Description == "" || status[0] >= '4' && response.Content["application/problem+json"] == nil {
					t.Errorf("%s %s: %s is not described as a problem", method, path, status)
				}
			}
			slices.Sort(statuses)
			got = append(got, strings.Join(append(line, statuses...), " "))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, surface) {
		t.Errorf("the surface is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(surface, "\n"))
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllSubmatch(a.body, -1) {
		if _, ok := doc.Components.Schemas[string(ref[1])]; !ok {
			t.Errorf("the schema %s is not there", ref[1])
		}
	}
	buy := doc.Paths["/v1/purchases"]["post"]
	body := doc.Components.Schemas[strings.TrimPrefix(buy.RequestBody.Content["application/json"].Schema.Ref, "#/components/schemas/")]
	if !slices.Equal(body.Required, []string{"number", "product"}) && !slices.Equal(body.Required, []string{"product", "number"}) ||
		len(body.Properties) != 8 || body.AdditionalProperties != false {
		t.Errorf("the body of a purchase is %+v", body)
	}
	if i := slices.IndexFunc(buy.Parameters, func(p struct {
		Name, In string
		Required bool
	}) bool {
		return p.Name == "Idempotency-Key" && p.In == "header" && p.Required
	}); i < 0 {
		t.Error("Idempotency-Key is not a required header")
	}
}

// The page works without a script and without any other machine, and describes
// every operation and every problem that is ever answered.
func TestPage(t *testing.T) {
	r := start(t, nil)
	a := r.do("GET", "/docs", "", "Authorization:")
	page := string(a.body)
	for _, foreign := range []string{"<script", "http://", "https://", "style="} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page holds %q", foreign)
		}
	}
	for _, line := range surface {
		words := strings.Fields(line)
		if !strings.Contains(page, `<b class="`+words[0]+`">`+words[0]+`</b> <code>`+words[1]+`</code>`) {
			t.Errorf("the page lacks %s %s", words[0], words[1])
		}
	}
	if !strings.Contains(page, `"product": &#34;airtime&#34;`) && !strings.Contains(page, `&#34;product&#34;: &#34;airtime&#34;`) {
		t.Error("the page has no example of a purchase")
	}
	ids := map[string]int{}
	for _, match := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		ids[match[1]]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("the id %s stands %d times", id, n)
		}
	}
	for _, match := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[match[1]] == 0 {
			t.Errorf("a link leads to %s, which is not there", match[1])
		}
	}
	if problem := r.do("GET", "/nowhere", "").problem(t); ids[strings.TrimPrefix(problem.Type, "/docs#")] == 0 {
		t.Errorf("the problem's type %s leads nowhere", problem.Type)
	}
	if a := r.do("GET", "/", ""); a.StatusCode != 303 || a.Header.Get("Location") != "/docs" {
		t.Errorf("/: got %s", a.Status)
	}
}

// The page's table of problems and docs/error-codes.md must not contradict each other.
func TestProblemsAgreeWithTheirPage(t *testing.T) {
	r := start(t, nil)
	docs := string(r.do("GET", "/docs", "").body)
	page, err := os.ReadFile("../../docs/error-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9]{3}) \\|").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 20 {
		t.Fatalf("the page lists only %d problems", len(rows))
	}
	for _, row := range rows {
		if !strings.Contains(docs, `<tr id="`+row[1]+`"><th scope="row"><code>`+row[1]+`</code></th><td>`+row[2]+`</td>`) {
			t.Errorf("the API's page does not list %s as %s", row[1], row[2])
		}
	}
}
