package ec2

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// patience is what somebody has who waits for something in the cloud: that the API cannot answer at the moment is told
// once, and waited out.
type patience struct {
	note func(text string)
	api  string // "EC2"
	told sync.Once
}

func (r *Runner) patience(service, api string) *patience {
	return &patience{note: func(text string) { r.env.Note(service, text) }, api: api}
}

// bears says whether to go on waiting after a look that went wrong.
func (p *patience) bears(ctx context.Context, err error) bool {
	if final(err) || ctx.Err() != nil {
		return false
	}
	p.told.Do(func() {
		p.note(clean("the " + p.api + " API does not answer; launch keeps trying: " + shortened(err).Error()))
	})
	return true
}

// final says whether an error is the endpoint's word, and not that it cannot answer at the moment.
func final(err error) bool {
	status := statusOf(err)
	return status != 0 && status < http.StatusInternalServerError || status == http.StatusNotImplemented || errors.Is(err, errSamePage)
}
