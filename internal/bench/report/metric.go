package report

import "strconv"

// Metric is something that is measured.
type Metric struct {
	Key    string `json:"key"`
	Column string `json:"column"` // heading in tables; empty: in JSON only
	Means  string `json:"means"`
	// Compare says that a ratio between systems makes sense.
	Compare bool `json:"-"`
}

// Metrics are all metrics in the order of a table's columns. CPU, bytes and
// flushes are for each message delivered, or for each recipient where a message
// has many.
var Metrics = []Metric{
	{"accept", "accept/s", "messages answered 250 a second, from the first connection to the last reply", true},
	{"delivered", "end-to-end/s", "messages a second from the first connection to the last arrival at the sink", true},
	{"at_ack", "", "share of the messages that had arrived when the last was acknowledged, 0 to 1", false},
	{"ack_p50", "250 p50 ms", "end of the data to its 250, median", true},
	{"ack_p99", "250 p99 ms", "end of the data to its 250, 99th percentile", true},
	{"arrive_p50", "arrival p50 ms", "end of the data to its arrival at the sink, median", true},
	{"arrive_p99", "arrival p99 ms", "end of the data to its arrival at the sink, 99th percentile", true},
	{"sync", "disk sync ms", "appending 10 KB to a file on the same disk and syncing it, median, just before the run", false},
	{"accept_empty", "accept/s empty", "messages accepted a second during the first twentieth of the backlog", true},
	{"accept_full", "accept/s full", "messages accepted a second during the last twentieth of the backlog", true},
	{"accept_kept", "kept %", "accept rate of the last twentieth in percent of the first's", false},
	{"restart", "restart s", "from exec until mail can be handed in, with the backlog in the queue", true},
	{"drain", "drain/s", "messages a second from the flush to the last arrival", true},
	{"first", "first after s", "from the flush to the first arrival", true},
	{"start", "start ms", "from exec until mail can be handed in, with an empty queue", true},
	{"idle_cpu", "idle CPU %", "of one core, with nothing to do", true},
	{"binary", "binary MiB", "size of the stripped static binary", false},
	{"cpu", "CPU s/1000", "user and system CPU seconds of the system for 1,000 messages, children that ended included", true},
	{"drain_cpu", "drain CPU s/1000", "the same for 1,000 messages drained", true},
	{"load_cpu", "load CPU s/1000", "CPU seconds of the load tools and the harness for 1,000 messages", false},
	{"transactions", "transactions/msg", "transactions at the sink for one message handed in", true},
	{"written", "KiB written/msg", "octets written to the disk for one message, whoever caused them", true},
	{"writes", "", "write requests of the disk for one message", false},
	{"flushes", "flushes/msg", "flushes of the disk's cache for one message", true},
	{"rss", "RSS MiB", "peak of the sum of resident sets", true},
	{"pss", "PSS MiB", "peak of the sum of resident sets with shared pages divided", true},
	{"anonymous", "", "peak of anonymous memory, MiB", false},
	{"processes", "", "peak number of processes", false},
	{"duplicates", "duplicates", "copies that arrived beyond the first of each message", false},
	{"busy", "", "share of the machine in use", false},
	{"iowait", "", "share of the machine waiting for the disk", false},
	{"foreign", "foreign", "share of the machine used neither by the system nor by the load tools", false},
}

// format writes v with three significant digits, or as a whole number.
func format(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}
