// Command tenu sells airtime and bundles and keeps its word: it serves the API,
// runs a demonstration with partners of its own, and looks into what was sold.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set when the binary is built.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}
