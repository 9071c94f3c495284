package web

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"

	"tenu/internal/page"
	"tenu/internal/purchase"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

// parsePages reads every page in a language.
func (w *Web) parsePages(code string) (*page.Set, error) {
	files, err := fs.Sub(pageFiles, "pages")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return page.Parse(files, w.texts.In(code), w.assets, template.FuncMap{"number": func(m purchase.MSISDN) string { return w.vocabulary.phone(m) }})
}

// loadAssets reads the files beside the pages.
func loadAssets() (*page.Assets, error) {
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return page.LoadAssets(files)
}

// write answers with a body, compressed where the browser takes that.
func (v *visit) write(status int, body []byte) { page.Send(v.w, v.r, status, body, nil) }
