package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"utskick/storage"
	"utskick/suppression"
)

// intake takes wishes and events over HTTP, also while the database is away.
type intake struct {
	*suppression.Intake
	spool    *storage.Spool
	identity *storage.Identity
}

// openIntake brings to the database what is left in the spool, and takes the
// lease of this process.
func (a *app) openIntake(ctx context.Context) (*intake, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	in := &intake{}
	if in.identity, err = storage.OpenIdentity(a.cfg.DataDir, fmt.Sprintf("serve on %s, process %d", host, os.Getpid())); err != nil {
		return nil, err
	}
	if in.spool, err = storage.OpenSpool(a.cfg.DataDir, a.log); err != nil {
		return nil, errors.Join(err, in.identity.Close())
	}
	in.Intake = suppression.NewIntake(suppression.IntakeConfig{Holder: in.identity.Holder, Leases: a.store, Spool: in.spool, Register: a.register,
		Events: a.store, ChannelOf: a.channelOfGroup, TopicOf: a.topicOfGroup, SenderOf: a.senderOfGroup, Clock: suppression.SystemClock, Now: time.Now, Log: a.log})
	if err := in.Start(ctx); err != nil {
		return nil, errors.Join(err, in.close())
	}
	return in, nil
}

// topicOfGroup is what "this kind" in the pages of a message means; see api.
func (a *app) topicOfGroup(ctx context.Context, group int64) (string, error) {
	origin, err := a.store.Origin(ctx, group)
	if errors.Is(err, storage.ErrNotFound) {
		return suppression.Any, nil
	}
	return origin.Topic, err
}

// senderOfGroup is what "this sender" in the pages of a message means; see api.
func (a *app) senderOfGroup(ctx context.Context, group int64) (string, error) {
	origin, err := a.store.Origin(ctx, group)
	if errors.Is(err, storage.ErrNotFound) {
		return suppression.Any, nil
	}
	return origin.Sender, err
}

// channelOfGroup is what the link in a message covers; see api.
func (a *app) channelOfGroup(ctx context.Context, group int64) (string, error) {
	channel, err := a.store.GroupChannel(ctx, group)
	if errors.Is(err, storage.ErrNotFound) || (err == nil && !channel.Dispatched()) {
		return suppression.Any, nil
	}
	return string(channel), err
}

// during holds the lease until serve has answered its last request, and gives it
// up then.
func (in *intake) during(ctx context.Context, serve func() error) error {
	holding, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { in.Run(holding) })
	err := serve()
	stop()
	wg.Wait()
	return errors.Join(err, in.Leave(ctx))
}

func (in *intake) close() error { return errors.Join(in.spool.Close(), in.identity.Close()) }
