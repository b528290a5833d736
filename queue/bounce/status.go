package bounce

import "github.com/postrider/postrider/internal/mail"

// expired is "delivery time expired" (RFC 3463 3.5): we gave up, nobody refused.
var expired = mail.EnhancedCode{4, 4, 7}

// derived maps basic codes to what they say at least (RFC 5248 2.4). A code that
// says nothing about the cause, such as 550, becomes x.0.0: a guess would be
// worse than none.
var derived = map[int]mail.EnhancedCode{
	421: {4, 3, 2},
	450: {4, 2, 0},
	451: {4, 3, 0},
	452: {4, 3, 1},
	454: {4, 7, 0},
	455: {4, 5, 4},
	500: {5, 5, 2},
	501: {5, 5, 4},
	502: {5, 5, 1},
	503: {5, 5, 1},
	504: {5, 5, 4},
	521: {5, 3, 2},
	530: {5, 7, 0},
	535: {5, 7, 8},
	538: {5, 7, 11},
	551: {5, 1, 6},
	552: {5, 2, 2},
	553: {5, 1, 3},
	555: {5, 5, 4},
	556: {5, 1, 10},
}

// status returns the value of the Status field: what the caller says, else what
// the peer says as far as its two codes agree (the basic code rules), else what
// the basic code is worth.
func (r *Recipient) status(k Kind) mail.EnhancedCode {
	if r.Status != (mail.EnhancedCode{}) {
		return r.Status
	}
	switch k {
	case Delivered, Relayed:
		if r.Reply.Positive() && r.Reply.Enhanced[0] == 2 {
			return r.Reply.Enhanced
		}
		return mail.EnhancedCode{2, 0, 0}
	case Failed:
		if !r.Reply.Permanent() {
			return expired
		}
	}
	code := answered(r.Reply)
	if k == Delayed {
		code[0] = 4 // a refusal that is waited out, as of a login: 5 would say that it is final
	}
	return code
}

// answered is the status that a peer gave.
func answered(r mail.Reply) mail.EnhancedCode {
	if r.Code == 0 {
		return mail.EnhancedCode{4, 4, 1} // no answer from host
	}
	class := r.Code / 100
	if r.Enhanced[0] == class {
		return r.Enhanced
	}
	if code, ok := derived[r.Code]; ok {
		return code
	}
	return mail.EnhancedCode{class, 0, 0}
}

// gaveUp reports whether time ran out, as opposed to a refusal.
func (r *Recipient) gaveUp(k Kind) bool { return k == Failed && r.status(k)[0] == 4 }
