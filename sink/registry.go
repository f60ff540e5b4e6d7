package sink

import (
	"fmt"
	"sort"
	"strings"
	"sync"
)

// Registry finds the driver for a sink's URI by its scheme. It may be used from
// any goroutine.
type Registry struct {
	mu      sync.RWMutex
	drivers map[string]Driver
}

// NewRegistry gives a registry that knows no scheme yet.
func NewRegistry() *Registry {
	return &Registry{drivers: make(map[string]Driver)}
}

// Register makes the driver the one for the scheme ("parquet", without "://").
// It panics on a scheme that no URI can have or that is taken: both are
// mistakes in the program, not in its input.
func (r *Registry) Register(scheme string, driver Driver) {
	if !validScheme(scheme) {
		panic(fmt.Sprintf("sink: register scheme %q: not a URI scheme", scheme))
	}
	scheme = strings.ToLower(scheme)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.drivers[scheme]; taken {
		panic(fmt.Sprintf("sink: register scheme %q: registered already", scheme))
	}
	r.drivers[scheme] = driver
}

// For gives the driver for the URI, or an [*UnknownSchemeError].
func (r *Registry) For(uri string) (Driver, error) {
	scheme, _, found := strings.Cut(uri, "://")
	if !found || !validScheme(scheme) {
		return nil, &UnknownSchemeError{URI: uri, Known: r.Schemes()}
	}
	scheme = strings.ToLower(scheme)
	r.mu.RLock()
	driver, known := r.drivers[scheme]
	r.mu.RUnlock()
	if !known {
		return nil, &UnknownSchemeError{URI: uri, Scheme: scheme, Known: r.Schemes()}
	}
	return driver, nil
}

// Schemes lists the registered schemes in order.
func (r *Registry) Schemes() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	schemes := make([]string, 0, len(r.drivers))
	for scheme := range r.drivers {
		schemes = append(schemes, scheme)
	}
	sort.Strings(schemes)
	return schemes
}
