package load

import "net"

// FreePorts returns TCP ports of 127.0.0.1 that nobody listens on. They are held
// together while they are chosen, so they differ; another program may take one
// before it is used, which then shows as a start that fails.
func FreePorts(n int) ([]uint16, error) {
	ports := make([]uint16, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports[i] = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
