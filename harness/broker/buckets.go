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
	if b.Records, err = b.bucket(ctx, jetstream.KeyValueConfig{
		Bucket: wire.RecordsBucket, Description: "records of the process dispatcher",
		History: 1, MaxValueSize: wire.MaxMessage, Replicas: replicas,
	}); err != nil {
		return err
	}
	if b.Lease, err = b.bucket(ctx, jetstream.KeyValueConfig{
		Bucket: wire.LeaseBucket, Description: "which dispatcher leads", History: 1, Replicas: replicas,
	}); err != nil {
		return err
	}
	b.Files, err = b.JS.ObjectStore(ctx, wire.FilesBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		b.Files, err = b.JS.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: wire.FilesBucket, Description: "files of definitions, by SHA-256", Replicas: replicas,
		})
		if errors.Is(err, jetstream.ErrBucketExists) {
			b.Files, err = b.JS.ObjectStore(ctx, wire.FilesBucket)
		}
	}
	return err
}

func (b *Buckets) bucket(ctx context.Context, config jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
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
}

// Open uses buckets that a dispatcher has made.
func Open(ctx context.Context, nc *nats.Conn) (*Buckets, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	b := &Buckets{JS: js}
	if b.Records, err = js.KeyValue(ctx, wire.RecordsBucket); err != nil {
		return nil, fmt.Errorf("open the records: %w", err)
	}
	if b.Files, err = js.ObjectStore(ctx, wire.FilesBucket); err != nil {
		return nil, fmt.Errorf("open the files: %w", err)
	}
	return b, nil
}
