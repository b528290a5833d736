package admin

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// Samples of waiting are rare enough to cost nothing that can be measured.
const (
	mutexSample = 100                    // one of so many waits for a lock
	blockSample = 100 * time.Microsecond // one wait for each so much time waited
)

// SampleWaiting begins or ends the sampling of waits, which is the whole process's:
// it is for the configuration that is in force.
func SampleWaiting(c config.Admin) {
	if c.Pprof && c.Address != "" {
		runtime.SetMutexProfileFraction(mutexSample)
		runtime.SetBlockProfileRate(int(blockSample))
	} else {
		runtime.SetMutexProfileFraction(0)
		runtime.SetBlockProfileRate(0)
	}
}

// serveProfiles adds what `go tool pprof` reads. Profiles of waiting show what
// was sampled since.
func serveProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
