package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"tenu/internal/page"
)

// manifest describes the pages to a phone that installs them (W3C Web Application Manifest).
func (w *Web) manifest(rw http.ResponseWriter, r *http.Request) {
	icon, err := w.assets.Path("icon.svg")
	if err != nil {
		http.NotFound(rw, r)
		return
	}
	type image struct {
		Src     string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose"`
	}
	body, err := json.Marshal(map[string]any{"name": w.cfg.Brand, "short_name": w.cfg.Brand, "lang": standard, "start_url": "/", "scope": "/",
		"display": "standalone", "background_color": "#f7f5f0", "theme_color": "#0a5c4c",
		"icons": []image{{icon, "any", "image/svg+xml", "any"}, {icon, "any", "image/svg+xml", "maskable"}}})
	if err != nil {
		http.Error(rw, "manifest", http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/manifest+json")
	rw.Header().Set("Cache-Control", "public, max-age=3600")
	page.Send(rw, r, http.StatusOK, body, nil)
}

// worker is the service worker, under one name for ever, as browsers want it.
func (w *Web) worker(rw http.ResponseWriter, r *http.Request) {
	w.assets.Serve(rw, r, "worker.js", "text/javascript; charset=utf-8", "no-cache")
}

// offline is what is shown when nothing else was kept.
func (w *Web) offline(v *visit) {
	v.show(http.StatusOK, "message", &messagePage{v.frame(""), v.Say("error_title"), v.Say("offline"), "/", v.Say("nav_home"), badge{Icon: "cloud", Tone: "wait"}})
}

type elementsPage struct {
	frame
	States []badge
	Icons  []string
}

// elements shows what pages are made of, for those who add one.
func (w *Web) elements(v *visit) {
	p := &elementsPage{frame: v.frame(""), Icons: page.Icons()}
	for _, stage := range slices.Sorted(maps.Keys(looks)) {
		p.States = append(p.States, v.speaker.state(stage))
	}
	v.show(http.StatusOK, "elements", p)
}
