package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/launchplan/launch/harness/broker"
)

// writesAtOnce bounds how many writes are under way before the first is waited for.
const writesAtOnce = 4096

// bucketStore is the Store in a JetStream key-value bucket. It publishes as the
// bucket's own client would, but does not wait for each write before the next.
type bucketStore struct {
	js     jetstream.JetStream
	bucket string
	stream jetstream.Stream
}

func newBucketStore(ctx context.Context, js jetstream.JetStream, bucket string) (*bucketStore, error) {
	stream, err := broker.Answer(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, "KV_"+bucket) })
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return &bucketStore{js, bucket, stream}, nil
}

func (s *bucketStore) subject(key string) string { return "$KV." + s.bucket + "." + key }

func (s *bucketStore) Write(ctx context.Context, writes []Write) ([]Result, error) {
	results := make([]Result, 0, len(writes))
	for len(writes) > 0 {
		n := min(len(writes), writesAtOnce)
		part, err := s.writePart(ctx, writes[:n])
		if err != nil {
			return nil, err
		}
		results = append(results, part...)
		writes = writes[n:]
	}
	return results, nil
}

func (s *bucketStore) writePart(ctx context.Context, writes []Write) ([]Result, error) {
	acks := make([]jetstream.PubAckFuture, len(writes))
	for i, w := range writes {
		msg := &nats.Msg{Subject: s.subject(w.Key), Header: nats.Header{}, Data: w.Value}
		if w.Delete {
			msg.Header.Set("KV-Operation", "DEL")
		}
		ack, err := s.js.PublishMsgAsync(msg, jetstream.WithExpectLastSequencePerSubject(w.Revision))
		if err != nil {
			return nil, err
		}
		acks[i] = ack
	}
	results := make([]Result, len(writes))
	for i, ack := range acks {
		select {
		case ok := <-ack.Ok():
			results[i].Revision = ok.Sequence
		case err := <-ack.Err():
			if !isConflict(err) {
				return nil, err
			}
			results[i].Conflict = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return results, nil
}

func isConflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func (s *bucketStore) Read(ctx context.Context, key string) (Observed, error) {
	msg, err := s.stream.GetLastMsgForSubject(ctx, s.subject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Observed{Key: key, Deleted: true}, nil
	}
	if err != nil {
		return Observed{}, err
	}
	return Observed{Key: key, Value: msg.Data, Revision: msg.Sequence, Deleted: msg.Header.Get("KV-Operation") != ""}, nil
}

// last is the revision of the latest write of anyone.
func (s *bucketStore) last(ctx context.Context) (uint64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

func observedOf(e jetstream.KeyValueEntry) Observed {
	return Observed{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), Deleted: e.Operation() != jetstream.KeyValuePut}
}
