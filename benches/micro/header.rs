//! Fingerprints of headers.

use divan::Bencher;
use divan::counter::BytesCount;

/// As the source gives it for a key.
const KEY: &[u8] = b"Message-ID: <CAF+8a1b2c3d4e5f60718@mail.example.net>\r\n\
Date: Fri, 7 Feb 2020 21:52:25 -0800\r\n\
From: =?utf-8?Q?J=C3=B6rg?= Example <joerg@example.net>\r\n\
Subject: Re: the bridge at the harbour, and what it\r\n may cost next winter\r\n\r\n";

/// As the source gives it where there is no Message-ID.
const FULL: &[u8] = b"Received: from relay1.example.net (relay1.example.net [192.0.2.17])\r\n\
\tby mx.example.org with ESMTPS id 4A1B2C3D4E5F;\r\n\tFri, 7 Feb 2020 21:52:31 -0800\r\n\
Received: from [192.0.2.99] by relay1.example.net with ESMTPSA; Fri, 7 Feb 2020 21:52:26 -0800\r\n\
Date: Fri, 7 Feb 2020 21:52:25 -0800\r\n\
From: =?utf-8?Q?J=C3=B6rg?= Example <joerg@example.net>\r\n\
To: Ann Example <ann@example.org>, \"Bob, of sales\" <bob@example.org>\r\n\
Cc: list@lists.example.org\r\n\
Subject: Re: the bridge at the harbour\r\n\
In-Reply-To: <one@example.org>\r\n\
References: <zero@example.org> <half@example.org>\r\n <one@example.org>\r\n\r\n";

#[divan::bench]
fn fingerprint_of_a_key(bencher: Bencher) {
    bencher
        .counter(BytesCount::new(KEY.len()))
        .bench(|| mailferry::identity::fingerprint(divan::black_box(KEY)));
}

#[divan::bench]
fn digest_of_a_longer_header(bencher: Bencher) {
    bencher
        .counter(BytesCount::new(FULL.len()))
        .bench(|| mailferry::identity::full(divan::black_box(FULL)));
}
