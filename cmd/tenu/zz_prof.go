package main

import (
	"os"
	"runtime/pprof"
	"runtime"
	"net/http"
	_ "net/http/pprof"
)

var _ = pprof.StartCPUProfile

func init() {
	if a := os.Getenv("ZZPROF"); a != "" {
		if os.Getenv("ZZMEM") != "" { runtime.MemProfileRate = 4096 } else { runtime.MemProfileRate = 0 }
		go http.ListenAndServe(a, nil)
	}
}

func zzenv(s string) string { return os.Getenv(s) }
