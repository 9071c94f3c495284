package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tenu/internal/purchase"
)

const (
	// heartbeatEvery keeps proxies from cutting a silent stream, and finds out
	// that the client has left.
	heartbeatEvery = 14 * time.Second
	// eventWithin bounds the writing of one event to a slow client.
	eventWithin = 10 * time.Second
)

type eventsIn struct {
	Reference   string `path:"reference" doc:"As people write it." example:"K7M2-Q4XD-9T"`
	LastEventID string `header:"Last-Event-ID" doc:"The version last seen; only later ones are sent."`
}

// events streams a purchase's changes as server-sent events (WHATWG HTML,
// section 9.2) until it is final. A client that comes back having seen the end
// is told by 204 to stay away.
func (a *API) events(ctx context.Context, in *eventsIn) (*huma.StreamResponse, error) {
	record, p := a.own(ctx, in.Reference)
	if p != nil {
		return nil, p
	}
	seen := int64(0)
	if in.LastEventID != "" {
		var err error
		if seen, err = strconv.ParseInt(in.LastEventID, 10, 64); err != nil || seen < 0 {
			return nil, problem(CodeRequest, "Last-Event-ID must be the id of an event of this stream")
		}
	}
	now := &record.Purchase
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		if now.State.Final() && now.Version <= seen {
			hc.SetStatus(http.StatusNoContent)
			return
		}
		r, w := humago.Unwrap(hc)
		a.stream(r.Context(), w, now.ID, seen)
	}}, nil
}

// stream writes events until the purchase is final, the client leaves, or the
// server drains; then the client comes back with Last-Event-ID.
func (a *API) stream(ctx context.Context, w http.ResponseWriter, id purchase.ID, seen int64) {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	write := func(text string) bool {
		if err := rc.SetWriteDeadline(a.clock.Now().Time().Add(eventWithin)); err != nil {
			return false
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	if !write("retry: 2000\n\n") {
		return
	}
	beat := a.clock.Now()
	idle := func() bool {
		if a.clock.Now().Sub(beat) < heartbeatEvery {
			return true
		}
		beat = a.clock.Now()
		return write(": still here\n\n")
	}
	err := a.follow(ctx, id, idle, func(p *purchase.Purchase) bool {
		if p.Version <= seen {
			return !p.State.Final()
		}
		data, err := json.Marshal(a.view(p))
		if err != nil {
			return false
		}
		return write(fmt.Sprintf("id: %d\nevent: purchase\ndata: %s\n\n", p.Version, data)) && !p.State.Final()
	})
	callOf(ctx).cause = err
}
