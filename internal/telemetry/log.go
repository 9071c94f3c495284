// Package telemetry makes what operators look at: the structured log and the
// metrics. It keeps no global state, and knows nothing of HTTP routes, partners'
// protocols or stores.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger returns a logger that writes to w in the format "json" or "text",
// from the level "debug", "info", "warn" or "error" on. Empty means text and info. It is
// shielded: no number of a customer passes (Shield).
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var lowest slog.Level
	if level != "" {
		if err := lowest.UnmarshalText([]byte(level)); err != nil || strings.ContainsAny(level, "+-") {
			return nil, fmt.Errorf("log level %q: debug, info, warn or error needed", level)
		}
	}
	options := &slog.HandlerOptions{Level: lowest}
	switch format {
	case "json":
		return Shielded(slog.New(slog.NewJSONHandler(w, options))), nil
	case "", "text":
		return Shielded(slog.New(slog.NewTextHandler(w, options))), nil
	}
	return nil, fmt.Errorf("log format %q: json or text needed", format)
}
