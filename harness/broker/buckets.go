package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/launchplan/launch/harness/wire"
)

// clusterReplicas is how many copies of the records a cluster of three or more keeps.
const clusterReplicas = 3

// Buckets are the places in JetStream that the harness uses.
type Buckets struct {
	JS      jetstream.JetStream
	Records jetstream.KeyValue
	Lease   jetstream.KeyValue
	Files   jetstream.ObjectStore
}

// Prepare makes the buckets where they do not exist. Replicas is the number of
// copies; 0: three where the broker is a cluster that can keep them, else one.
// Buckets that were made while the cluster was smaller are replicated further.
func Prepare(ctx context.Context, nc *nats.Conn, replicas int) (*Buckets, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(16384), jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, err
	}
	want := []int{replicas}
	if replicas == 0 {
		want = []int{1}
		if nc.ConnectedClusterName() != "" {
			want = []int{clusterReplicas, 1}
		}
	}
	b := &Buckets{JS: js}
	for _, n := range want {
		if err = b.create(ctx, n); err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf("the broker at %s has no JetStream: %w", nc.ConnectedUrlRedacted(), err)
	}
	return nil, fmt.Errorf("prepare the records: %w", err)
}

func (b *Buckets) create(ctx context.Context, replicas int) (err error) {
	if b.Records, err = b.keyValue(ctx, jetstream.KeyValueConfig{
		Bucket: wire.RecordsBucket, Description: "records of the process dispatcher",
		History: 1, MaxValueSize: wire.MaxMessage, Replicas: replicas,
	}); err != nil {
		return err
	}
	if b.Lease, err = b.keyValue(ctx, jetstream.KeyValueConfig{
		Bucket: wire.LeaseBucket, Description: "which dispatcher leads", History: 1, Replicas: replicas,
	}); err != nil {
		return err
	}
	b.Files, err = b.objects(ctx, jetstream.ObjectStoreConfig{
		Bucket: wire.FilesBucket, Description: "files of definitions, by SHA-256", Replicas: replicas,
	})
	return err
}

func (b *Buckets) keyValue(ctx context.Context, config jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	return Answer(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		kv, err := b.JS.KeyValue(ctx, config.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			if kv, err = b.JS.CreateKeyValue(ctx, config); errors.Is(err, jetstream.ErrBucketExists) {
				kv, err = b.JS.KeyValue(ctx, config.Bucket) // another dispatcher was faster
			}
			return kv, err
		}
		if err != nil {
			return nil, err
		}
		status, err := kv.Status(ctx)
		if err != nil {
			return nil, err
		}
		if status.Config().Replicas < config.Replicas {
			return b.JS.UpdateKeyValue(ctx, config)
		}
		return kv, nil
	})
}

func (b *Buckets) objects(ctx context.Context, config jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	return Answer(ctx, func(ctx context.Context) (jetstream.ObjectStore, error) {
		store, err := b.JS.ObjectStore(ctx, config.Bucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			if store, err = b.JS.CreateObjectStore(ctx, config); errors.Is(err, jetstream.ErrBucketExists) {
				store, err = b.JS.ObjectStore(ctx, config.Bucket)
			}
		}
		return store, err
	})
}

// Answer repeats a question about buckets until somebody answers it or ctx ends. To ask
// twice must do no harm: the first question may have got there all the same.
func Answer[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	for wait := answerFirst; ; wait = min(2*wait, answerLast) {
		attempt, cancel := context.WithTimeout(ctx, wait)
		answer, err := question(attempt)
		if !unanswered(err) || ctx.Err() != nil {
			cancel()
			return answer, err
		}
		<-attempt.Done() // that a cluster has no leader is said at once
		cancel()
	}
}

// unanswered says that the cluster has no leader, or whoever could answer did not get the question.
func unanswered(err error) bool {
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		return e.ErrorCode == leaderless
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}

// leaderless is JetStream's code for a cluster without a leader.
const leaderless jetstream.ErrorCode = 10008

// Open uses buckets that a dispatcher has made.
func Open(ctx context.Context, nc *nats.Conn) (*Buckets, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	b := &Buckets{JS: js}
	if b.Records, err = Records(ctx, js); err != nil {
		return nil, fmt.Errorf("open the records: %w", err)
	}
	b.Files, err = Answer(ctx, func(ctx context.Context) (jetstream.ObjectStore, error) {
		return js.ObjectStore(ctx, wire.FilesBucket)
	})
	if err != nil {
		return nil, fmt.Errorf("open the files: %w", err)
	}
	return b, nil
}

// Records opens the records that a dispatcher has made.
func Records(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	return Answer(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, wire.RecordsBucket) })
}
