-- The same tables as on Postgres; see there for what they mean.

-- +goose Up

create table meta (
    name  text primary key,
    value text not null
);

-- Who people are.

create table contacts (
    id             integer primary key autoincrement,
    external_id    text   not null unique,
    contact_k      blob  not null,
    email          text   not null default '',
    email_k        blob,
    phone          text   not null default '',
    phone_k        blob,
    first_name     text   not null default '',
    last_name      text   not null default '',
    locale         text   not null default '',
    timezone       text   not null default '',
    attributes     text   not null default '{}',
    basis          text   not null default '',
    basis_evidence text   not null default '',
    sale           text   not null default '',
    sale_offered   text   not null default '',
    sale_family    text   not null default '',
    grants         text   not null default '',
    relations      text   not null default '',
    created_at     integer not null,
    updated_at     integer not null
);
-- Planning reads these two in their order, and nothing else.
create index contacts_email_k on contacts (email_k, id, locale);
create index contacts_phone_k on contacts (phone_k, id, locale);
create index contacts_contact_k on contacts (contact_k);
create index contacts_updated on contacts (updated_at, id);
create index contacts_no_email on contacts (contact_k) where email_k is null;
create index contacts_no_phone on contacts (contact_k) where phone_k is null;

create table devices (
    id         integer primary key autoincrement,
    contact    integer  not null references contacts (id) on delete cascade,
    token      text    not null,
    k          blob   not null,
    active     integer not null default 1,
    created_at integer  not null,
    updated_at integer  not null,
    unique (contact, k)
);
create index devices_k on devices (k, contact, active);
create index devices_contact on devices (contact) where active;

-- Every key that a contact has or had: an objection covers them all.
create table address_keys (
    k          blob  not null,
    contact    integer not null,
    kind       text   not null,
    first_seen integer not null,
    primary key (k, contact)
) without rowid;
create index address_keys_contact on address_keys (contact);

create table relations (
    contact_k blob  not null,
    sender    text   not null,
    since     text   not null,
    ended_at  integer not null,
    source    text   not null,
    told_at   integer not null,
    primary key (contact_k, sender)
);

create table attributes (
    name       text primary key,
    created_at integer not null
);

-- What is said, and by whom.

create table senders (
    name       text primary key,
    record     text   not null,
    notice     text   not null default '',
    updated_at integer not null
);

create table notices (
    sender     text not null,
    version    text not null,
    language   text not null,
    dated      text not null,
    url        text not null,
    hash       text not null,
    created_at integer not null,
    primary key (sender, version, language)
);

create table templates (
    id               integer primary key autoincrement,
    name             text   not null,
    channel          text   not null,
    version          integer not null,
    default_language text   not null,
    contents         text   not null,
    created_at       integer not null,
    unique (name, version)
);

create table links (
    id       integer primary key autoincrement,
    template integer not null references templates (id),
    target   text   not null,
    unique (template, target)
);

create table campaigns (
    id         integer primary key autoincrement,
    name       text   not null unique,
    sender     text   not null,
    topic      text   not null,
    channels   text   not null,
    family     text   not null default '', -- of products: whom soft opt-in allows
    targeted   integer not null default 0, -- chosen by what is known of people
    created_at integer not null
);

-- The ledger.

create table runs (
    id          integer primary key autoincrement,
    campaign    integer  not null references campaigns (id),
    state       text    not null check (state in ('scheduled', 'sending', 'paused', 'cancelling', 'cancelled', 'finished')),
    reason      text    not null default '',
    rev         integer  not null default 1,
    due_at      integer  not null,
    send_by     integer  not null,
    channels    text    not null,
    planned     integer not null default 0,
    created_at  integer  not null,
    started_at  integer  not null default 0,
    finished_at integer  not null default 0,
    forgotten   integer not null default 0
);
create index runs_campaign on runs (campaign);
create index runs_open on runs (state, due_at) where state not in ('cancelled', 'finished');

-- A slice is a range of keys: from k_lo, inclusive, to k_hi, exclusive; NULL is
-- open. The closing slice of a channel has no range, and adds whoever moved.
create table slices (
    run        integer  not null references runs (id),
    channel    text    not null,
    slice      integer  not null,
    k_lo       blob,
    k_hi       blob,
    closing    integer not null default 0,
    planned_at integer  not null default 0,
    rung_at    integer  not null default 0,
    audience   integer  not null default 0,
    duplicates integer  not null default 0,
    primary key (run, channel, slice)
) without rowid;

create table groups (
    id       integer primary key autoincrement,
    run      integer not null references runs (id),
    channel  text   not null,
    slice    integer not null,
    sender   text   not null,
    template integer not null,
    language text   not null,
    variant  text   not null default '',
    due_at   integer not null,
    parent   integer not null default 0,
    resend   integer not null default 0 -- 1: sent to again, at an operator's word
);
create index groups_run on groups (run, channel, slice);

create table members (
    grp         integer not null,
    k           blob  not null,
    contact     integer not null,
    code        integer,
    cause       text,
    provider_id text,
    primary key (grp, k)
) without rowid;

create table batches (
    id         integer primary key autoincrement,
    grp        integer   not null,
    run        integer   not null,
    channel    text     not null,
    n          integer   not null,
    k_lo       blob    not null,
    k_hi       blob    not null,
    last_k     blob,
    claim_k    blob,
    settled    integer   not null default 0,
    state      integer not null default 0, -- 0 ready, 1 calling, 2 done
    fence      integer   not null default 0,
    nonce      integer   not null default 0,
    owner      text     not null default '',
    beat_at    integer   not null default 0,
    not_before integer   not null default 0,
    rung_at    integer   not null default 0,
    attempts   integer   not null default 0,
    sent       integer   not null default 0,
    suppressed integer   not null default 0,
    failed     integer   not null default 0,
    in_doubt   integer   not null default 0,
    skipped    integer   not null default 0,
    moved      integer   not null default 0,
    -- A part of a call that was refused: of which batch, after how many halvings,
    -- and why it was refused itself, as long as it waits for the other parts.
    origin     integer  not null default 0,
    depth      integer  not null default 0,
    refusal    text     not null default '',
    domain     text     not null default '', -- of all its members, when mail to it has a limit
    -- Of those who were in doubt: when the last became so, how many evidence has
    -- resolved, and when the provider is to be asked for the others next (0: not).
    doubt_at   integer  not null default 0,
    resolved   integer  not null default 0,
    look_at    integer  not null default 0,
    looks      integer  not null default 0,
    check (settled = sent + suppressed + failed + in_doubt + skipped + moved),
    check (state <> 2 or settled = n)
);
create index batches_ready on batches (not_before) where state = 0;
create index batches_calling on batches (channel, k_lo, k_hi) where state = 1;
create index batches_open on batches (run) where state <> 2;
create index batches_origin on batches (origin) where origin <> 0;
create index batches_run on batches (run, channel);
create index batches_group on batches (grp, k_hi);
create index batches_look on batches (channel, look_at) where look_at > 0;

create table calls (
    batch           integer not null,
    fence           integer not null,
    k_from          blob,
    k_to            blob  not null,
    t0              integer not null,
    claim_ver       integer not null, -- of the suppressions, when the claim was made
    template        integer not null default 0, -- the version that it sent
    notice          text not null default '',
    suppression_ver integer, -- at the check, which is later
    provider_id     text, -- of the call
    message_ids     text, -- of its messages, where each has one: a line "key id" each
    late_starts     bigint not null default 0, -- messages that left long after their permits had died
    primary key (batch, fence)
) without rowid;

-- Channels whose provider refuses all that we send.
create table channel_holds (
    channel text   primary key,
    reason  text   not null,
    at      bigint not null
);

-- Wishes and permissions.

create table suppressions (
    k          blob   not null,
    channel    text    not null,
    topic      text    not null,
    purpose    text    not null,
    sender     text    not null,
    cause      text    not null,
    active     integer not null,
    source     text    not null,
    evidence   text    not null,
    notice     text    not null default '',
    expires_at integer,
    created_at integer  not null,
    updated_at integer  not null,
    ver        integer  not null,
    primary key (k, channel, topic, purpose, sender, cause)
) without rowid;
create index suppressions_ver on suppressions (ver);

-- Every change of a suppression, as it was after it. Rows are only ever added;
-- those of a visit to the preference page are marked when it is undone.
create table suppression_changes (
    ver        integer primary key,
    at         integer not null,
    k          blob not null,
    channel    text not null,
    topic      text not null,
    purpose    text not null,
    sender     text not null,
    cause      text not null,
    active     integer not null,
    source     text not null,
    evidence   text not null,
    notice     text not null default '',
    expires_at integer,
    visit      text not null, -- what was said in one is undone together; else empty
    undone     integer not null default 0
);
create index suppression_changes_k on suppression_changes (k, ver);
create index suppression_changes_visit on suppression_changes (visit) where visit <> '';

-- Consents as they were before a wish took them back: that one was given can be
-- shown later, and undoing the wish brings it back. Where there was none, the
-- wish made a refusal, and granted is NULL.
create table withdrawn_consents (
    ver       integer not null, -- of the wish
    contact_k blob not null,
    purpose   text not null,
    sender    text not null,
    granted   integer,
    at        integer not null,
    source    text not null,
    evidence  text not null,
    notice    text not null,
    primary key (ver, sender)
) without rowid;
create index withdrawn_consents_contact_k on withdrawn_consents (contact_k);

-- One row, locked by every change, so that versions have no gaps.
create table suppression_head (
    id         integer primary key check (id = 1),
    ver        integer not null,
    generation integer not null
);
insert into suppression_head (id, ver, generation) values (1, 0, 0);

-- One row: whether this database is still the one that it was
-- (docs/adr/0008-held-after-a-restore.md).
create table guard (
    id        integer primary key check (id = 1),
    counter   integer not null, -- raised every second
    releases  integer not null, -- grows with every release
    held_at   integer not null default 0, -- 0: sending is not held
    held_why  text not null default '',
    passed    integer not null default 0 -- the highest releases that a process remembers
);
insert into guard (id, counter, releases) values (1, 0, 0);

create table consents (
    contact_k blob   not null,
    purpose   text    not null,
    sender    text    not null,
    granted   integer not null,
    at        integer  not null,
    source    text    not null,
    evidence  text    not null,
    notice    text    not null default '',
    primary key (contact_k, purpose, sender)
) without rowid;

-- Who takes wishes over HTTP. Nothing is claimed while the lease of one has
-- lapsed. All instants are the database's own.
create table instances (
    name       text   primary key,
    about      text   not null,
    session    integer not null, -- of its present life
    joined_at  integer not null,
    renewed_at integer not null,
    lapsed_at  integer not null default 0, -- somebody has seen that it was not renewed
    left_at    integer not null default 0  -- it gave the lease up, or was released
);

-- What happened to messages.

create table events (
    day     integer  not null, -- days since 1970, of the event's own time
    dedupe  text    not null,
    at      integer  not null,
    type    text    not null,
    run     integer  not null,
    grp     integer  not null,
    channel text    not null,
    k       blob,
    contact integer,
    link    integer,
    counts  text, -- towards which cause, if several in a row suppress the address
    machine   text   not null default '',
    agent     text   not null default '',
    requester integer,
    forgotten integer not null default 0,
    primary key (day, dedupe)
) without rowid;
create index events_run on events (run, channel, type);
create index events_k on events (k, at) where k is not null;
create index events_bait on events (k) where machine = 'honeypot' and link is null;
create index events_requester on events (at) where requester is not null;

-- What people answered. The words and the address are kept until customer service
-- has dealt with them; of what is clear they never are.
create table inbound (
    id         integer primary key autoincrement,
    message    text   not null unique, -- by which it is known when it comes again
    at         integer not null,
    channel    text   not null,
    k          blob,
    contact    integer,
    sender     text   not null, -- name of the record; empty: not known
    meaning    text   not null,
    address    text   not null,
    words      text   not null,
    done       integer not null,
    handled_at integer not null default 0,
    handled_by text   not null default ''
);
create index inbound_done on inbound (done, id);

create table cases (
    id              integer primary key autoincrement,
    kind            text   not null,
    way             text   not null,
    received_at     integer not null,
    due_on          integer not null,
    state           text   not null,
    route           text   not null,
    opened_at       integer not null,
    opened_by       text   not null,
    contact         integer,
    k               blob,
    external        text   not null default '',
    identity_method text   not null default '',
    identity_by     text   not null default '',
    identity_at     integer not null default 0,
    extended_reason text   not null default '',
    extended_told   integer not null default 0,
    outcome         text   not null default '',
    ended_at        integer not null default 0,
    ended_by        text   not null default ''
);
create index cases_open on cases (due_on) where ended_at = 0;
create index cases_ended on cases (ended_at) where ended_at > 0;
create index cases_k on cases (k) where k is not null;

create table case_notes (
    id      integer primary key autoincrement,
    case_id integer not null references cases (id),
    at      integer not null,
    author  text   not null,
    words   text   not null
);
create index case_notes_case on case_notes (case_id, id);

create table retention_runs (
    rule    text   primary key,
    ran_at  integer not null,
    touched integer not null,
    total   integer not null
);

create table retention_turn (
    id     integer primary key check (id = 1),
    due_at integer not null
);
insert into retention_turn (id, due_at) values (1, 0);

create table breach_counts (
    promise text   not null,
    name    text   not null,
    found   integer not null,
    at      integer not null,
    auditor text   not null,
    primary key (promise, name)
);

create table optout_latency (
    day    integer not null,
    bucket integer not null,
    n      integer not null,
    primary key (day, bucket)
);

create table mail_taken (
    message text    not null primary key,
    at      integer not null
);

create table erasures (
    id          integer primary key autoincrement,
    contact     integer unique,
    k           blob unique, -- of the contact, or of the address of who is none; NULL: done
    asked_at    integer not null,
    asked_by    text    not null,
    case_number text    not null,
    declined    boolean not null, -- that a suppression is kept
    done_at     integer not null default 0,
    messages    integer not null default 0 -- that were cut loose
);

-- Subscriptions and returns, confirmed by mail.

create table subscription_topics (
    sender text not null,
    topic  text not null,
    primary key (sender, topic)
);

create table subscriptions (
    k            blob   not null,
    sender       text   not null,
    topic        text   not null,
    asked_at     integer not null,
    confirmed_at integer not null,
    confirmation integer not null,
    source       text   not null,
    evidence     text   not null,
    notice       text   not null,
    wording      text   not null,
    made         integer,
    primary key (k, sender, topic)
);

create table confirmations (
    id           integer primary key autoincrement,
    k            blob     not null,
    n            integer  not null,
    address      text     not null,
    sender       text     not null,
    topic        text     not null,
    locale       text     not null,
    source       text     not null,
    notice       text     not null,
    wording      text     not null default '',
    asked_at     integer  not null,
    state        integer  not null default 0,
    reason       text     not null default '',
    not_before   integer  not null default 0,
    attempts     integer  not null default 0,
    claimed_at   integer  not null default 0,
    nonce        integer  not null default 0,
    confirmed_at integer  not null default 0,
    unique (k, n)
);
create index confirmations_waiting on confirmations (not_before) where state = 0;
create index confirmations_calling on confirmations (claimed_at) where state = 1;
create index confirmations_open on confirmations (asked_at) where address <> '';

create table audit (
    id     integer primary key autoincrement,
    at     integer not null,
    actor  text   not null,
    action text   not null,
    object text   not null,
    detail text   not null default ''
);

create table api_keys (
    id         integer primary key autoincrement,
    name       text   not null unique,
    scope      text   not null,
    hash       blob  not null unique,
    created_at integer not null,
    revoked_at integer not null default 0
);

create index inbound_k on inbound (k);
create index audit_object on audit (object, id);
