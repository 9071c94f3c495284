package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of one listener. A request that waits for its outcome, and an event
// stream, lift the ones that would cut them.
const (
	headerWithin = 5 * time.Second
	readWithin   = 15 * time.Second
	writeWithin  = waitMost + 30*time.Second
	idleWithin   = 2 * time.Minute
	headerBytes  = 16 << 10
)

// Site is one listener and what answers on it.
type Site struct {
	Listener net.Listener
	Handler  http.Handler
	// TLS is spoken when it is not nil.
	TLS *tls.Config
	// MaxConns is how many connections are held at once; more wait.
	MaxConns int
	// Drain is called when the site begins to close.
	Drain func()
	Log   *slog.Logger
}

// Serve answers on the site until ctx ends, then takes no more connections and
// returns when every request is answered, or after grace at the latest.
func Serve(ctx context.Context, site Site, grace time.Duration) error {
	server := &http.Server{
		Handler:           site.Handler,
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       readWithin,
		WriteTimeout:      writeWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    headerBytes,
		TLSConfig:         site.TLS,
		ErrorLog:          slog.NewLogLogger(site.Log.Handler(), slog.LevelDebug),
	}
	if site.Drain != nil {
		server.RegisterOnShutdown(site.Drain)
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err := server.Shutdown(limited)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		closed <- err
	})
	listener := netutil.LimitListener(site.Listener, site.MaxConns)
	serve := server.Serve
	if site.TLS != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	err := serve(listener)
	if stop() { // the listener failed by itself
		return errors.Join(fmt.Errorf("serve %s: %w", site.Listener.Addr(), err), server.Close())
	}
	if err := <-closed; err != nil {
		return fmt.Errorf("close %s: %w", site.Listener.Addr(), err)
	}
	return nil
}
