package queue

import "github.com/postrider/postrider/internal/mail"

// wish is what an operator asked for while an attempt ran. It is granted
// when the claim is given up, as far as there is anything left.
type wish struct {
	deed deed
	// domain, if it is given, is that of the recipients it is about. Only
	// wishDelete and wishBounce divide a delivery.
	domain mail.Domain
}

// noWish is noted where nobody asked for anything.
var noWish wish

// deed is what an operator can have done with a delivery.
type deed uint8

const (
	wishRetry deed = iota + 1
	wishHold
	wishRelease
	wishDelete
	wishBounce
)

// claim takes d for its caller. If it is somebody's already it notes the wish
// instead, after those noted before, and returns false.
func (s *scheduler) claim(key DeliveryKey, w wish) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes, taken := s.claimed[key]
	if !taken {
		s.claimed[key] = nil
		return true
	}
	if _, ok := s.parked[key]; ok {
		delete(s.parked, key)
		return true
	}
	if w != noWish && (len(wishes) == 0 || wishes[len(wishes)-1] != w) {
		s.claimed[key] = append(wishes, w)
	}
	return false
}

// nextWish takes the first of the wishes about d, which is stored as it is. Without
// one it gives up the claim.
func (s *scheduler) nextWish(d *Delivery) (wish, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wishes := s.claimed[d.DeliveryKey]
	if len(wishes) == 0 {
		delete(s.claimed, d.DeliveryKey)
		s.insert(d, nil)
		return noWish, false
	}
	s.claimed[d.DeliveryKey] = wishes[1:]
	return wishes[0], true
}

// dismiss forgets the wishes about a claimed delivery.
func (s *scheduler) dismiss(key DeliveryKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed[key] = nil
}

// release gives up the claim of a delivery that is gone, or can't be read.
func (s *scheduler) release(key DeliveryKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, key)
}

// unclaim gives up the claim of d, which is stored as it is.
func (s *scheduler) unclaim(d *Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, d.DeliveryKey)
	s.insert(d, nil)
}
