//go:build !unix

package delivery

import "net"

// quiet can't look without reading here; a closed connection shows at its first
// use and costs another one then.
func quiet(net.Conn) bool { return true }
