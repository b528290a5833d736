package admin

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/postrider/postrider/queue"
)

// TestWhoseFaultAnErrorIs: exit codes and HTTP statuses go by it.
func TestWhoseFaultAnErrorIs(t *testing.T) {
	for _, row := range []struct {
		err  error
		want Kind
	}{
		{queue.ErrNotFound, NotFound},
		{queue.ErrUnselective, BadRequest},
		{queue.ErrHoldRule, BadRequest},
		{queue.ErrNoSpace, Unavailable},
		{context.DeadlineExceeded, Unavailable},
		{&Error{BadRequest, "what?"}, BadRequest},
		{errors.New("anything else"), Internal},
	} {
		if got := errorOf(fmt.Errorf("asking: %w", row.err)); got.Kind != row.want {
			t.Errorf("%v is of kind %s, want %s", row.err, got.Kind, row.want)
		}
	}
}
