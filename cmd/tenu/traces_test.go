package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"tenu/internal/telemetry"
)

// A sale leaves spans of its request and of every partner's call, tied together by its reference; no number is in what the
// collector gets, and its tokens are the log's.
func TestTracesOfASale(t *testing.T) {
	var mu sync.Mutex
	var received []byte
	var exports []*collector.ExportTraceServiceRequest
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Error(err)
				return
			}
		}
		data, err := io.ReadAll(body)
		export := &collector.ExportTraceServiceRequest{}
		if err != nil || proto.Unmarshal(data, export) != nil {
			t.Errorf("received %q, %v", data, err)
		}
		mu.Lock()
		defer mu.Unlock()
		received, exports = append(received, data...), append(exports, export)
	}))
	t.Cleanup(receiver.Close)
	var out output
	log, err := telemetry.NewLogger(&out, "json", "debug")
	if err != nil {
		t.Fatal(err)
	}
	s := startLogged(t, func(text string) string {
		return text + fmt.Sprintf("traces: {endpoint: %q, sample: 1}\n", receiver.URL+"/v1/traces")
	}, log)
	reference := s.bought(t, "70 45 82 13", 1050)
	lookUp := http.Header{"X-Request-Id": {"look-" + national}}
	if err := s.remote.call(t.Context(), http.MethodGet, "/v1/purchases?number="+national, lookUp, nil, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	secret, err := secret(t.Context(), s.app, s.node.store)
	if err != nil {
		t.Fatal(err)
	}
	token := telemetry.Token(secret, departed)
	s.halt()

	mu.Lock()
	defer mu.Unlock()
	if departedForms.In(string(received)) {
		t.Errorf("the collector has the number: %q", received)
	}
	for _, form := range []string{"22670458213", national, apart, "226 " + apart, "70.45.82.13", "70-45-82-13"} {
		if strings.Contains(string(received), form) {
			t.Errorf("the collector has %q", form)
		}
	}
	spans := map[string]map[string]string{}
	for _, export := range exports {
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					texts := map[string]string{}
					for _, a := range span.GetAttributes() {
						texts[a.GetKey()] = a.GetValue().GetStringValue()
					}
					spans[span.GetName()+" "+texts["tenu.purchase"]] = texts
				}
			}
		}
	}
	for _, name := range []string{"POST /v1/purchases", "wallet charge do", "ocs credit do"} {
		if spans[name+" "+reference] == nil {
			t.Errorf("no span %s of %s among %v", name, reference, spans)
		}
	}
	if charge := spans["wallet charge do "+reference]; charge["tenu.number"] != token || !strings.Contains(out.text(), token) {
		t.Errorf("the token is %s, in the trace %v", token, charge)
	}
	if list := spans["GET /v1/purchases "]; list["tenu.request"] != "look-"+token || list["tenu.client"] != "demo" {
		t.Errorf("the list's span is %v", list)
	}
}

// What is wrong with traces is told by its line and key.
func TestTracesConfig(t *testing.T) {
	example := readExample(t)
	for lines, want := range map[string]string{
		`endpoint: "collector:4318"`:                         "traces.endpoint",
		`endpoint: "ftp://collector/v1/traces"`:              "traces.endpoint",
		`endpoint: "http://user:word@collector/v1"`:          "traces.endpoint",
		`endpoint: "http://collector/v1?key=1"`:              "traces.endpoint",
		"endpoint: \"http://collector/v1\"\n  sample: 0":     "traces.sample",
		"endpoint: \"http://collector/v1\"\n  sample: 1.5":   "traces.sample",
		"endpoint: \"http://collector/v1\"\n  sample: .nan":  "traces.sample",
		"endpoint: \"\"\n  rate: 1":                          "rate",
		"endpoint: https://collector/v1/traces\n  sample: 1": "",
	} {
		head, _, _ := strings.Cut(example, "\ntraces:\n")
		_, err := parseConfig("tenu.yaml", []byte(head+"\ntraces:\n  "+lines+"\n"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tenu.yaml:")) {
			t.Errorf("%s: %v, want %s", lines, err, want)
		}
	}
}
