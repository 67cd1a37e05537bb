// node-postgres through gov: prints one line per thing that drivers do.

import { connect as dial } from 'node:net';
import pg from 'pg';

const [write, read] = process.argv.slice(2);
const assert = (truth, what) => { if (!truth) throw new Error(`not so: ${what}`); };

// node-postgres has no cancel of its own: whoever wants one sends it with the keys the server gave.
function cancel(client) {
  const packet = Buffer.alloc(16);
  [16, 80877102, client.processID, client.secretKey].forEach((word, index) => packet.writeInt32BE(word, index * 4));
  const socket = dial(client.port, client.host, () => socket.end(packet));
}

const checks = {
  async simple(client) {
    const { rows } = await client.query('select id from orders where id < 3 order by 1');
    assert(rows.length === 2 && rows[1].id === 2, JSON.stringify(rows));
    const results = await client.query('select 1 as a; select 2 as b');
    assert(results.length === 2 && results[1].rows[0].b === 2, 'two results');
  },
  async prepared(client) {
    for (let number = 1; number <= 10; number += 1) {
      const { rows } = await client.query({ name: 'one', text: 'select id from orders where id = $1', values: [number] });
      assert(rows[0].id === number, number);
    }
  },
  async binary(client) {
    const { rows } = await client.query({ text: 'select $1::int4 as a', values: [7], binary: true });
    assert(rows[0].a === 7, JSON.stringify(rows));
  },
  async cancel(client) {
    setTimeout(() => cancel(client), 500);
    const code = await client.query('select pg_sleep(60)').then(() => 'none', (error) => error.code);
    assert(code === '57014', code);
    assert((await client.query('select 1 as a')).rows[0].a === 1, 'usable');
  },
  async error(client) {
    for (const [statement, state] of [['select 1/0', '22012'], ['selec', '42601'], ['select 1 from nowhere', '42P01']]) {
      const code = await client.query(statement).then(() => 'none', (error) => error.code);
      assert(code === state, `${statement}: ${code}`);
    }
    assert((await client.query('select $1::int as a', [1])).rows[0].a === 1, 'usable');
  },
  async notice(client) {
    const heard = [];
    client.on('notice', (notice) => heard.push(notice.message));
    for (let time = 0; time < 2; time += 1) await client.query('create temp table if not exists noticed (a int)');
    assert(heard.some((message) => message.includes('already exists')), heard.join());
  },
  async large(client) {
    const { rows } = await client.query("select i, repeat('x', 100) as x from generate_series(1, 20000) i");
    assert(rows.length === 20000, rows.length);
    const long = await client.query("select repeat('x', 4000000) as x");
    assert(long.rows[0].x.length === 4000000, 'one long value');
  },
  async transaction(client) {
    await client.query('begin');
    await client.query("update orders set status = 'lost' where id = 1");
    await client.query('rollback');
    assert((await client.query('select status from orders where id = 1')).rows[0].status === 'open', 'undone');
  },
  async masked() {
    const client = new pg.Client({ connectionString: read });
    await client.connect();
    for (const query of ['select email from customers where id = 1', { text: 'select email from customers where id = $1', values: [1], binary: true }]) {
      const { rows } = await client.query(query);
      assert(rows.length === 1 && !rows[0].email.includes('mail.example.org'), JSON.stringify(rows));
    }
    await client.end();
  },
  // A row is read, one column of it is changed, and all of it is saved.
  async returned(client) {
    const row = (await client.query('select * from customers where id = 4')).rows[0];
    const save = 'update customers set full_name = $2, email = $3, country = $4, born = $5, credit_card = $6 where id = $1';
    const problem = await client.query(save, Object.values({ ...row, country: 'SE' })).then(() => 'saved', (error) => error);
    assert(problem.code === '42501' && problem.message.includes('made by a mask'), problem);
    const born = await client.query('update customers set born = $2 where id = $1', [4, row.born]).then(() => 'saved', (error) => error);
    assert(born.code === '42501' && born.message.includes('may be a mask over `customers.born`'), born);
    await client.query('update customers set country = $1 where id = $2', ['SE', 4]);
  },
  async reconnect(client) {
    await client.end();
    const pool = new pg.Pool({ connectionString: write, max: 5 });
    const answers = await Promise.all([...Array(20).keys()].map((number) => pool.query('select $1::int as a', [number])));
    assert(answers.every(({ rows }, number) => rows[0].a === number), 'a pool');
    await pool.end();
  },
};

const client = new pg.Client({ connectionString: write });
await client.connect();
for (const [name, check] of Object.entries(checks)) {
  try {
    await check(client);
    console.log(`${name}: ok`);
  } catch (problem) {
    console.log(`${name}: ${String(problem).replaceAll('\n', ' ')}`);
  }
}
