// Command tenu sells airtime and bundles and keeps its word: it serves the API,
// runs a demonstration with partners of its own, and looks into what was sold.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// version is set when the binary is built.
var version = "unknown"

// ballast lets the heap grow by as much before it is collected. What a node
// holds is often little and what it makes anew for each purchase is not: without
// it a fifth of the time goes into collecting. It is never written to, so that
// the system gives no memory for it.
var ballast = make([]byte, 64<<20)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Getenv)
	stop()
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
