package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenu/internal/customer"
	"tenu/internal/purchase"
)

type purchasesPage struct {
	frame
	Purchases []shown
	Older     string
}

// perPage is how many purchases one page lists.
const perPage = 20

func (w *Web) purchases(v *visit) {
	var before purchase.ID
	if text := v.r.URL.Query().Get("before"); text != "" {
		from, err := w.cfg.Customers.Purchase(v.r.Context(), v.number, text)
		if err != nil {
			v.fail(err)
			return
		}
		before = from.ID
	}
	views, err := w.cfg.Customers.Last(v.r.Context(), v.number, before, perPage)
	if err != nil {
		v.fail(err)
		return
	}
	p := &purchasesPage{frame: v.frame("purchases")}
	for i := range views {
		p.Purchases = append(p.Purchases, v.speaker.purchase(&views[i]))
	}
	if len(views) == perPage {
		p.Older = p.Purchases[perPage-1].Reference
	}
	v.show(http.StatusOK, "purchases", p)
}

type purchasePage struct {
	frame
	View     shown
	Seen     string
	Reported bool // a moment ago
	Reports  []reported
}

type reported struct{ Matter, When, Detail string }

func (w *Web) purchase(v *visit) {
	view, err := w.cfg.Customers.Purchase(v.r.Context(), v.number, v.r.PathValue("reference"))
	if err != nil {
		v.fail(err)
		return
	}
	p := &purchasePage{frame: v.frame("purchases"), View: v.speaker.purchase(&view), Seen: v.Time(v.cfg.Clock.Now()), Reported: v.r.URL.Query().Has("reported")}
	if !p.View.Final {
		p.Refresh = 3
	}
	for _, r := range view.Reports {
		p.Reports = append(p.Reports, reported{v.Say("matter_" + string(r.Matter)), v.Time(r.At), r.Detail})
	}
	v.show(http.StatusOK, "purchase", p)
}

// The pace of a stream of events.
const (
	beatEvery   = 15 * time.Second
	writeWithin = 10 * time.Second
)

// events streams a purchase's state as server-sent events (WHATWG HTML, section
// 9.2), each the part of the page that it replaces, until the outcome is there.
func (w *Web) events(v *visit) {
	part := "live"
	if v.r.URL.Query().Get("part") == "brief" {
		part = "brief"
	}
	seen, _ := strconv.ParseInt(v.r.Header.Get("Last-Event-ID"), 10, 64) // whatever else it is, nothing was seen
	view, err := w.cfg.Customers.Purchase(v.r.Context(), v.number, v.r.PathValue("reference"))
	if err != nil {
		v.fail(err)
		return
	}
	if view.Final() && view.Version <= seen {
		v.w.WriteHeader(http.StatusNoContent) // stay away
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	stream := http.NewResponseController(v.w)
	write := func(text string) bool {
		if stream.SetWriteDeadline(w.cfg.Clock.Now().Time().Add(writeWithin)) != nil {
			return false
		}
		_, err := v.w.Write([]byte(text))
		return err == nil && stream.Flush() == nil
	}
	if !write("retry: 3000\n\n") {
		return
	}
	ctx, end := context.WithCancel(v.r.Context())
	defer end()
	go func() {
		select {
		case <-w.draining:
			end()
		case <-ctx.Done():
		}
	}()
	w.cfg.Customers.Follow(ctx, v.number, view, beatEvery, func(view *customer.View) bool {
		if view == nil {
			return write(": still here\n\n")
		}
		event, err := v.event(part, view)
		if err == nil && view.Final() {
			event += "event: over\ndata:\n\n" // the browser need not come back
		}
		return err == nil && write(event) && !view.Final()
	})
}

// event is a purchase's state as one server-sent event.
func (v *visit) event(part string, view *customer.View) (string, error) {
	var b bytes.Buffer
	v.speaker.Now = v.cfg.Clock.Now()
	if err := v.pages[v.lang].Part(&b, "purchase", part, v.speaker.purchase(view)); err != nil {
		return "", err
	}
	lines := strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\ndata: ")
	return fmt.Sprintf("id: %d\nevent: purchase\ndata: %s\n\n", view.Version, lines), nil
}
