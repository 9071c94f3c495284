package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"tenu/internal/drill"
	"tenu/internal/drill/against"
)

// against plays a scenario on a running test deployment.
func (c *drillCmd) against(ctx context.Context, a *app, s *drill.Scenario) error {
	key := cmp.Or(c.Key, a.env("TENU_KEY"))
	switch {
	case c.AsItWas:
		return usage(errors.New("--as-it-was is a model beside a private drill: without --against"))
	case c.RealTime && c.Speed != 1:
		return usage(errors.New("--real-time is --speed 1"))
	case key == "":
		return usage(errors.New("no API key: set TENU_KEY"))
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, Proxy: http.ProxyFromEnvironment}}
	defer client.CloseIdleConnections()
	o := against.Options{URL: strings.TrimRight(c.Against, "/"), Key: key, Run: "drill-" + uuid.NewString()[:18], Seed: c.Seed, Purchases: c.Purchases, Speed: c.Speed,
		Rate: c.Rate, Products: c.Product, Within: c.Within, LeaveOut: c.LeaveOut, Clock: a.clock, Client: client,
		Each: func(line string) { _, _ = fmt.Fprintln(a.err, line) }} // while it lasts; the account follows
	r, err := against.Run(ctx, s, o)
	if err != nil {
		return err
	}
	if c.Chart != "" {
		picture, err := r.Chart(c.Language)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Clean(c.Chart), picture, 0o644); err != nil { //nolint:gosec // a picture for everybody
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if c.JSON {
		text, err := r.JSON()
		if err != nil {
			return err
		}
		if _, err := a.out.Write(text); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	} else if err := r.Account(a.out, c.Language); err != nil {
		return err
	}
	return r.Verdict()
}
