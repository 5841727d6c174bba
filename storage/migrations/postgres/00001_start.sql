-- Times are milliseconds since 1970, UTC. Keys are 16 bytes. Nothing is NULL
-- unless its absence says something.

-- +goose Up

create table meta (
    name  text primary key,
    value text not null
);

-- Who people are.

create table contacts (
    id             bigint generated always as identity primary key,
    external_id    text   not null unique,
    contact_k      bytea  not null,
    email          text   not null default '',
    email_k        bytea,
    phone          text   not null default '',
    phone_k        bytea,
    first_name     text   not null default '',
    last_name      text   not null default '',
    locale         text   not null default '',
    timezone       text   not null default '',
    attributes     text   not null default '{}',
    basis          text   not null default '',
    basis_evidence text   not null default '',
    -- What soft opt-in rests on; without all of it, it is no basis.
    sale           text   not null default '',
    sale_offered   text   not null default '',
    sale_family    text   not null default '',
    -- What consents say of her, repeated here because it is asked for each
    -- recipient: a line "purpose sender yes|no" each.
    grants         text   not null default '',
    -- The senders that she has a relation to, each between spaces; a space alone
    -- when all have ended, nothing when none was ever told.
    relations      text   not null default '',
    created_at     bigint not null,
    updated_at     bigint not null
);
-- Planning reads these two in their order, and nothing else.
create index contacts_email_k on contacts (email_k, id) include (locale);
create index contacts_phone_k on contacts (phone_k, id) include (locale);
create index contacts_contact_k on contacts (contact_k) include (id);
create index contacts_updated on contacts (updated_at, id);
create index contacts_no_email on contacts (contact_k) where email_k is null;
create index contacts_no_phone on contacts (contact_k) where phone_k is null;

create table devices (
    id         bigint generated always as identity primary key,
    contact    bigint  not null references contacts (id) on delete cascade,
    token      text    not null,
    k          bytea   not null,
    active     boolean not null default true,
    created_at bigint  not null,
    updated_at bigint  not null,
    unique (contact, k)
);
create index devices_k on devices (k, contact) include (active);
create index devices_contact on devices (contact) where active;

-- Every key that a contact has or had: an objection covers them all.
create table address_keys (
    k          bytea  not null,
    contact    bigint not null,
    kind       text   not null,
    first_seen bigint not null,
    primary key (k, contact)
);
create index address_keys_contact on address_keys (contact);

-- To which controllers of the group a contact has a relation: as a customer, a
-- member, a borrower.
create table relations (
    contact_k bytea  not null,
    sender    text   not null,
    since     text   not null, -- a day, as 2019-05-01; empty: not known
    ended_at  bigint not null, -- when we learnt that it had ended; 0: it goes on
    source    text   not null,
    told_at   bigint not null,
    primary key (contact_k, sender)
);

create table attributes (
    name       text primary key,
    created_at bigint not null
);

-- What is said, and by whom.

create table senders (
    name       text primary key,
    record     text   not null,
    notice     text   not null default '', -- the version that the record names
    updated_at bigint not null
);

-- The versions of the privacy notices. What people said was said under one: the
-- columns notice of other tables name it.
create table notices (
    sender     text   not null, -- or * for all
    version    text   not null,
    language   text   not null, -- empty: not said
    dated      text   not null, -- in force from this day on, as 2026-01-15
    url        text   not null,
    hash       text   not null, -- SHA-256 of the text; empty: known by its address alone
    created_at bigint not null,
    primary key (sender, version, language)
);

create table templates (
    id               bigint generated always as identity primary key,
    name             text   not null,
    channel          text   not null,
    version          bigint not null,
    default_language text   not null,
    contents         text   not null,
    created_at       bigint not null,
    unique (name, version)
);

create table links (
    id       bigint generated always as identity primary key,
    template bigint not null references templates (id),
    target   text   not null,
    unique (template, target)
);

create table campaigns (
    id         bigint generated always as identity primary key,
    name       text   not null unique,
    sender     text   not null,
    topic      text   not null,
    channels   text   not null,
    family     text   not null default '', -- of products: whom soft opt-in allows
    targeted   boolean not null default false, -- chosen by what is known of people
    created_at bigint not null
);

-- The ledger.

create table runs (
    id          bigint generated always as identity primary key,
    campaign    bigint  not null references campaigns (id),
    state       text    not null check (state in ('scheduled', 'sending', 'paused', 'cancelling', 'cancelled', 'finished')),
    reason      text    not null default '',
    rev         bigint  not null default 1,
    due_at      bigint  not null,
    send_by     bigint  not null,
    channels    text    not null,
    planned     boolean not null default false,
    created_at  bigint  not null,
    started_at  bigint  not null default 0,
    finished_at bigint  not null default 0,
    forgotten   bigint  not null default 0 -- 1: its members are tied to no person any more
);
create index runs_campaign on runs (campaign);
create index runs_open on runs (state, due_at) where state not in ('cancelled', 'finished');

-- A slice is a range of keys: from k_lo, inclusive, to k_hi, exclusive; NULL is
-- open. The closing slice of a channel has no range, and adds whoever moved.
create table slices (
    run        bigint  not null references runs (id),
    channel    text    not null,
    slice      bigint  not null,
    k_lo       bytea,
    k_hi       bytea,
    closing    boolean not null default false,
    planned_at bigint  not null default 0,
    rung_at    bigint  not null default 0,
    audience   bigint  not null default 0,
    duplicates bigint  not null default 0,
    primary key (run, channel, slice)
);

create table groups (
    id       bigint generated always as identity primary key,
    run      bigint not null references runs (id),
    channel  text   not null,
    slice    bigint not null,
    sender   text   not null,
    template bigint not null,
    language text   not null,
    variant  text   not null default '',
    due_at   bigint not null,
    parent   bigint not null default 0,
    resend   bigint not null default 0 -- 1: sent to again, at an operator's word
);
create index groups_run on groups (run, channel, slice);

create table members (
    grp         bigint not null,
    k           bytea  not null,
    contact     bigint not null,
    code        smallint,
    cause       text,
    provider_id text,
    primary key (grp, k)
);

create table batches (
    id         bigint generated always as identity primary key,
    grp        bigint   not null,
    run        bigint   not null,
    channel    text     not null,
    n          bigint   not null,
    k_lo       bytea    not null,
    k_hi       bytea    not null,
    last_k     bytea,
    claim_k    bytea,
    settled    bigint   not null default 0,
    state      smallint not null default 0, -- 0 ready, 1 calling, 2 done
    fence      bigint   not null default 0,
    nonce      bigint   not null default 0,
    owner      text     not null default '',
    beat_at    bigint   not null default 0,
    not_before bigint   not null default 0,
    rung_at    bigint   not null default 0,
    attempts   bigint   not null default 0,
    sent       bigint   not null default 0,
    suppressed bigint   not null default 0,
    failed     bigint   not null default 0,
    in_doubt   bigint   not null default 0,
    skipped    bigint   not null default 0,
    moved      bigint   not null default 0,
    -- A part of a call that was refused: of which batch, after how many halvings,
    -- and why it was refused itself, as long as it waits for the other parts.
    origin     bigint   not null default 0,
    depth      bigint   not null default 0,
    refusal    text     not null default '',
    domain     text     not null default '', -- of all its members, when mail to it has a limit
    -- Of those who were in doubt: when the last became so, how many evidence has
    -- resolved, and when the provider is to be asked for the others next (0: not).
    doubt_at   bigint   not null default 0,
    resolved   bigint   not null default 0,
    look_at    bigint   not null default 0,
    looks      bigint   not null default 0,
    check (settled = sent + suppressed + failed + in_doubt + skipped + moved),
    check (state <> 2 or settled = n)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create index batches_ready on batches (not_before) where state = 0;
create index batches_calling on batches (channel) include (k_lo, k_hi) where state = 1;
create index batches_open on batches (run) where state <> 2;
create index batches_origin on batches (origin) where origin <> 0;
create index batches_run on batches (run, channel);
create index batches_group on batches (grp, k_hi);
create index batches_look on batches (channel, look_at) where look_at > 0;

create table calls (
    batch           bigint not null,
    fence           bigint not null,
    k_from          bytea,
    k_to            bytea  not null,
    t0              bigint not null,
    claim_ver       bigint not null, -- of the suppressions, when the claim was made
    template        bigint not null default 0, -- the version that it sent
    notice          text   not null default '', -- the version that its messages were sent under
    suppression_ver bigint, -- at the check, which is later
    provider_id     text, -- of the call
    message_ids     text, -- of its messages, where each has one: a line "key id" each
    late_starts     bigint not null default 0, -- messages that left long after their permits had died
    primary key (batch, fence)
);
-- Looked at seldom, and not worth the time to compress.
alter table calls alter column message_ids set storage external;

-- Channels whose provider refuses all that we send.
create table channel_holds (
    channel text   primary key,
    reason  text   not null,
    at      bigint not null
);

-- Wishes and permissions.

create table suppressions (
    k          bytea   not null,
    channel    text    not null,
    topic      text    not null,
    purpose    text    not null,
    sender     text    not null,
    cause      text    not null,
    active     boolean not null,
    source     text    not null,
    evidence   text    not null,
    notice     text    not null default '', -- the version of the privacy notice in force when it was said
    expires_at bigint,
    created_at bigint  not null,
    updated_at bigint  not null,
    ver        bigint  not null,
    primary key (k, channel, topic, purpose, sender, cause)
);
create index suppressions_ver on suppressions (ver);

-- Every change of a suppression, as it was after it. Rows are only ever added;
-- those of a visit to the preference page are marked when it is undone.
create table suppression_changes (
    ver        bigint primary key,
    at         bigint not null,
    k          bytea not null,
    channel    text not null,
    topic      text not null,
    purpose    text not null,
    sender     text not null,
    cause      text not null,
    active     boolean not null,
    source     text not null,
    evidence   text not null,
    notice     text not null default '',
    expires_at bigint,
    visit      text not null, -- what was said in one is undone together; else empty
    undone     boolean not null default false
);
create index suppression_changes_k on suppression_changes (k, ver);
create index suppression_changes_visit on suppression_changes (visit) where visit <> '';

-- Consents as they were before a wish took them back: that one was given can be
-- shown later, and undoing the wish brings it back. Where there was none, the
-- wish made a refusal, and granted is NULL.
create table withdrawn_consents (
    ver       bigint not null, -- of the wish
    contact_k bytea not null,
    purpose   text not null,
    sender    text not null,
    granted   boolean,
    at        bigint not null,
    source    text not null,
    evidence  text not null,
    notice    text not null,
    primary key (ver, sender)
);
create index withdrawn_consents_contact_k on withdrawn_consents (contact_k);

-- One row, locked by every change, so that versions have no gaps.
create table suppression_head (
    id         bigint primary key check (id = 1),
    ver        bigint not null,
    generation bigint not null
);
insert into suppression_head (id, ver, generation) values (1, 0, 0);

-- One row: whether this database is still the one that it was
-- (docs/adr/0008-held-after-a-restore.md).
create table guard (
    id        bigint primary key check (id = 1),
    counter   bigint not null, -- raised every second
    releases  bigint not null, -- grows with every release
    held_at   bigint not null default 0, -- 0: sending is not held
    held_why  text not null default '',
    passed    bigint not null default 0 -- the highest releases that a process remembers
);
insert into guard (id, counter, releases) values (1, 0, 0);

create table consents (
    contact_k bytea   not null,
    purpose   text    not null,
    sender    text    not null,
    granted   boolean not null,
    at        bigint  not null,
    source    text    not null,
    evidence  text    not null,
    notice    text    not null default '',
    primary key (contact_k, purpose, sender)
);

-- Who takes wishes over HTTP. Nothing is claimed while the lease of one has
-- lapsed. All instants are the database's own.
create table instances (
    name       text   primary key,
    about      text   not null,
    session    bigint not null, -- of its present life
    joined_at  bigint not null,
    renewed_at bigint not null,
    lapsed_at  bigint not null default 0, -- somebody has seen that it was not renewed
    left_at    bigint not null default 0  -- it gave the lease up, or was released
) with (fillfactor = 20);

-- What happened to messages.

create table events (
    day     bigint  not null, -- days since 1970, of the event's own time
    dedupe  text    not null,
    at      bigint  not null,
    type    text    not null,
    run     bigint  not null,
    grp     bigint  not null,
    channel text    not null,
    k       bytea,
    contact bigint,
    link    bigint,
    counts  text, -- towards which cause, if several in a row suppress the address
    -- Of opens and clicks: why it is taken for a machine's (empty: for a person's),
    -- the coarse class of what made it, and for some days a short hash of who.
    machine   text   not null default '',
    agent     text   not null default '',
    requester bigint,
    -- 1: k is of nobody, made up when the person was forgotten, so that persons are
    -- still counted each.
    forgotten bigint not null default 0,
    primary key (day, dedupe)
) partition by range (day);
create table events_rest partition of events default;
create index events_run on events (run, channel, type);
create index events_k on events (k, at) where k is not null;
create index events_bait on events (k) where machine = 'honeypot' and link is null;
create index events_requester on events (at) where requester is not null;

-- What people answered. The words and the address are kept until customer service
-- has dealt with them; of what is clear they never are.
create table inbound (
    id         bigint generated always as identity primary key,
    message    text   not null unique, -- by which it is known when it comes again
    at         bigint not null,
    channel    text   not null,
    k          bytea, -- NULL: forgotten
    contact    bigint,
    sender     text   not null, -- name of the record; empty: not known
    meaning    text   not null,
    address    text   not null,
    words      text   not null,
    done       integer not null,
    handled_at bigint not null default 0,
    handled_by text   not null default ''
);
create index inbound_done on inbound (done, id);

-- What people ask for under the law, and what became of it. No identity numbers,
-- no signatures: what is written freely is searched for them (audience.HasIdentityNumber).

create table cases (
    id              bigint generated always as identity primary key,
    kind            text   not null,
    way             text   not null,
    received_at     bigint not null,
    due_on          bigint not null, -- the day, at midnight UTC
    state           text   not null,
    route           text   not null,
    opened_at       bigint not null,
    opened_by       text   not null,
    contact         bigint, -- NULL: no contact, or erased
    k               bytea,  -- NULL: of nobody, or too long ago
    external        text   not null default '', -- number of the paper case
    identity_method text   not null default '', -- empty: not checked
    identity_by     text   not null default '',
    identity_at     bigint not null default 0,
    extended_reason text   not null default '',
    extended_told   bigint not null default 0,
    outcome         text   not null default '',
    ended_at        bigint not null default 0,
    ended_by        text   not null default ''
);
create index cases_open on cases (due_on) where ended_at = 0;
create index cases_ended on cases (ended_at) where ended_at > 0;
create index cases_k on cases (k) where k is not null;

create table case_notes (
    id      bigint generated always as identity primary key,
    case_id bigint not null references cases (id),
    at      bigint not null,
    author  text   not null,
    words   text   not null
);
create index case_notes_case on case_notes (case_id, id);

-- What the retention job did last with each rule, and in all.
create table retention_runs (
    rule    text   primary key,
    ran_at  bigint not null,
    touched bigint not null, -- rows, the last time
    total   bigint not null
);

-- One row: when the job is due again. Whoever moves it does the job.
create table retention_turn (
    id     bigint primary key check (id = 1),
    due_at bigint not null
);
insert into retention_turn (id, due_at) values (1, 0);

-- What the last audit found, by whichever process.
create table breach_counts (
    promise text   not null,
    name    text   not null,
    found   bigint not null,
    at      bigint not null,
    auditor text   not null,
    primary key (promise, name)
);

-- How long acknowledging wishes took: how many, by day and by a bucket of
-- durations (rights.BucketOf). No person is in it.
create table optout_latency (
    day    bigint not null,
    bucket bigint not null,
    n      bigint not null,
    primary key (day, bucket)
);

-- Messages that came back by mail and were taken, by a keyed hash of the name that
-- each has: a mailbox may be imported again, and nothing in it counts twice.
create table mail_taken (
    message text   not null primary key,
    at      bigint not null
);

-- Who asked to be erased (docs/adr/0012-erasure.md). Until it is done a row names
-- the contact; then it says that and when somebody was, and nobody knows who.
create table erasures (
    id          bigint generated always as identity primary key,
    contact     bigint unique,
    k           bytea unique, -- of the contact, or of the address of who is none; NULL: done
    asked_at    bigint not null,
    asked_by    text    not null,
    case_number text    not null,
    declined    boolean not null, -- that a suppression is kept
    done_at     bigint not null default 0,
    messages    bigint not null default 0 -- that were cut loose
);

-- Subscriptions and returns, confirmed by mail.

-- Topics that are sent only to whoever has subscribed, as the senders' records
-- have them: asked for each batch.
create table subscription_topics (
    sender text not null,
    topic  text not null,
    primary key (sender, topic)
);

-- What the owner of a mail address has asked for and confirmed from it, with the
-- proof. It is the address's, not the person's: another one was not proved. It
-- stays when she leaves: what she stops is a suppression, and blocks.
create table subscriptions (
    k            bytea  not null, -- of the e-mail address
    sender       text   not null,
    topic        text   not null, -- *: all marketing by e-mail
    asked_at     bigint not null,
    confirmed_at bigint not null,
    confirmation bigint not null,
    source       text   not null, -- where she asked: a page of the site, or ours
    evidence     text   not null, -- how it is known that it was she
    notice       text   not null, -- version of the privacy notice
    wording      text   not null, -- version and language of what she confirmed
    made         bigint,          -- the contact that was made of a person not known before
    primary key (k, sender, topic)
);

-- Confirmations asked for by mail: the way out for those mails, and the record of
-- what was asked. The address is kept until it is confirmed, or 7 days.
create table confirmations (
    id           bigint generated always as identity primary key,
    k            bytea    not null,
    n            bigint   not null, -- how many there were for the address, this one included
    address      text     not null,
    sender       text     not null,
    topic        text     not null,
    locale       text     not null,
    source       text     not null,
    notice       text     not null,
    wording      text     not null default '', -- once the mail was made
    asked_at     bigint   not null,
    state        smallint not null default 0, -- 0 waits, 1 calling, 2 sent, 3 in doubt, 4 failed, 5 suppressed
    reason       text     not null default '',
    not_before   bigint   not null default 0,
    attempts     bigint   not null default 0,
    claimed_at   bigint   not null default 0,
    nonce        bigint   not null default 0, -- of the claim
    confirmed_at bigint   not null default 0,
    unique (k, n) -- of two at the same moment one is none
);
create index confirmations_waiting on confirmations (not_before) where state = 0;
create index confirmations_calling on confirmations (claimed_at) where state = 1;
create index confirmations_open on confirmations (asked_at) where address <> '';

create table audit (
    id     bigint generated always as identity primary key,
    at     bigint not null,
    actor  text   not null,
    action text   not null,
    object text   not null,
    detail text   not null default ''
);

create table api_keys (
    id         bigint generated always as identity primary key,
    name       text   not null unique,
    scope      text   not null,
    hash       bytea  not null unique,
    created_at bigint not null,
    revoked_at bigint not null default 0
);

-- What customer service looks a person up by: what she answered, and what was
-- done to her data.
create index inbound_k on inbound (k);
create index audit_object on audit (object, id);
