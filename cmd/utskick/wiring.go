package main

import (
	"context"

	"utskick/api"
	"utskick/storage"
)

// apiKeys shows the store's keys to the API.
type apiKeys struct{ store *storage.Store }

func (k apiKeys) KeyByHash(ctx context.Context, hash []byte) (api.Key, error) {
	stored, err := k.store.KeyByHash(ctx, hash)
	return apiKey(stored), err
}

func (k apiKeys) KeyByID(ctx context.Context, id int64) (api.Key, error) {
	stored, err := k.store.KeyByID(ctx, id)
	return apiKey(stored), err
}

func apiKey(k storage.APIKey) api.Key { return api.Key{ID: k.ID, Name: k.Name, Scope: k.Scope} }

// held is 1 while this process knows that sending is held.
func (a *app) held() float64 {
	if a.store.HeldHere().Held() {
		return 1
	}
	return 0
}
