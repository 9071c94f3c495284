package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"tenu/internal/api"
	"tenu/internal/auth"
)

// event is one server-sent event.
type event struct{ id, name, data string }

// stream follows a purchase's events. next returns the next event, or false at
// the end of the stream.
func (r *rig) stream(reference string, headers ...string) (next func() (event, bool), stop func()) {
	r.t.Helper()
	request := must[*http.Request](r.t)(http.NewRequestWithContext(r.t.Context(), "GET", r.url+"/v1/purchases/"+reference+"/events", nil))
	request.Header.Set("Authorization", "Bearer "+r.key)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := r.http.Do(request) //nolint:bodyclose // closed by stop
	if err != nil {
		r.t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		r.t.Fatalf("%s: Content-Type %s", response.Status, got)
	}
	lines := bufio.NewReader(response.Body)
	next = func() (e event, more bool) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				if !errors.Is(err, io.EOF) {
					r.t.Errorf("stream: %v", err)
				}
				return event{}, false
			}
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.data != "" {
					return e, true
				}
			}
		}
	}
	return next, func() { _ = response.Body.Close() }
}

func (e event) purchase(t *testing.T) api.Purchase {
	t.Helper()
	var p api.Purchase
	if err := json.Unmarshal([]byte(e.data), &p); err != nil {
		t.Fatalf("%s: %v", e.data, err)
	}
	return p
}

func TestEvents(t *testing.T) {
	r := start(t, func(r *rig, _ []auth.Client) { r.ocs.gate = make(chan struct{}) })
	bought := r.do("POST", "/v1/purchases", airtime).purchase(t)
	next, stop := r.stream(bought.Reference)
	defer stop()
	var last event
	for state := ""; state != "crediting"; {
		e, more := next()
		if !more {
			t.Fatal("the stream ended before the final state")
		}
		last, state = e, e.purchase(t).State
	}
	close(r.ocs.gate)
	final, more := next()
	if p := final.purchase(t); !more || final.name != "purchase" || p.State != "credited" || final.id <= last.id {
		t.Fatalf("got %+v, want the credited purchase", final)
	}
	if e, more := next(); more {
		t.Errorf("after the final state: got %+v", e)
	}

	// Who comes back having missed something gets it, and who has seen all is sent away.
	missed, stopMissed := r.stream(bought.Reference, "Last-Event-ID: "+last.id)
	defer stopMissed()
	if e, more := missed(); !more || e.id != final.id {
		t.Errorf("after %s: got %+v, want %s", last.id, e, final.id)
	}
	if a := r.do("GET", "/v1/purchases/"+bought.Reference+"/events", "", "Last-Event-ID: "+final.id); a.StatusCode != http.StatusNoContent {
		t.Errorf("after the last event: got %s", a.Status)
	}
	if p := r.do("GET", "/v1/purchases/"+bought.Reference+"/events", "", "Last-Event-ID: x").problem(t); p.Code != api.CodeRequest {
		t.Errorf("an identity of no event: got %v", p)
	}
}

func TestEventsEndWhenTheServerDrains(t *testing.T) {
	r := start(t, func(r *rig, _ []auth.Client) { r.ocs.gate = make(chan struct{}) })
	defer close(r.ocs.gate)
	next, stop := r.stream(r.do("POST", "/v1/purchases", airtime).purchase(t).Reference)
	defer stop()
	if _, more := next(); !more {
		t.Fatal("no first event")
	}
	go r.stopHTTP()
	for {
		if _, more := next(); !more {
			return
		}
	}
}
