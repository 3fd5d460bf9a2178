// The live page. One websocket brings sections of content, and images as their bytes; each section
// is answered once it is shown, and only then comes its next: a slow browser misses some, and
// never lags behind.

const CURVE = 10;       // s
const STALE = 1500;     // ms without news after which cameras and joints are said to be silent
const GONE = 4000;      // ms without any news after which the connection is given up
const RETRY = 1000;     // ms
const LEVELS = ['OK', 'WARN', 'ERROR', 'SILENT'];

const element = (id) => document.getElementById(id);
const made = (tag, parent, text = '', kind = '') => {
  const child = parent.appendChild(document.createElement(tag));
  child.textContent = text;
  child.className = kind;
  return child;
};

// The connection.

let token = document.querySelector('meta[name=token]').content;
let socket = null;
let heard = 0;

function connect() {
  socket = new WebSocket(`ws://${location.host}/stream?token=${encodeURIComponent(token)}`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = (message) => {
    heard = performance.now();
    setConnected(true);
    if (typeof message.data === 'string') {
      const { section, content } = JSON.parse(message.data);
      show[section](content);
      // A page that nobody sees is not painted, and then asks for nothing more.
      requestAnimationFrame(() => shown(section));
    } else {
      showFrame(new Uint8Array(message.data));
    }
  };
  socket.onclose = () => {
    setConnected(false);
    setTimeout(reconnect, RETRY);
  };
}

async function reconnect() {
  try {
    // Another run of the node has another token.
    const text = await (await fetch('/', { signal: AbortSignal.timeout(GONE) })).text();
    const fresh = new DOMParser().parseFromString(text, 'text/html');
    token = fresh.querySelector('meta[name=token]').content;
  } catch {
    setTimeout(reconnect, RETRY);
    return;
  }
  connect();
}

function shown(section) {
  if (socket.readyState === WebSocket.OPEN) socket.send(section);
}

function setConnected(connected) {
  if (connected !== document.body.classList.contains('disconnected')) return;
  document.body.classList.toggle('disconnected', !connected);
  element('connection').textContent = connected ? 'live' : 'disconnected';
  enableButtons();
}

// Sections.

let robot = null;
let figures = {};
let arrived = {};   // when each section came, ms
let chunk = null;
let session = null;
const cameras = {};

const show = {
  robot(content) {
    robot = content;
    const body = document.querySelector('#joints tbody');
    if (body.childElementCount) return;
    robot.cameras.forEach((name) => { cameras[name] ??= newCamera(name); });
    for (const joint of robot.joints) {
      const row = made('tr', body);
      row.dataset.joint = joint;
      made('td', row, joint.replace('_', ' '));
      made('td', row, '–');
      made('td', row, '–');
      made('canvas', made('td', row));
      made('canvas', made('td', row));
    }
  },
  joints(content) {
    figures = content;
    arrived.joints = performance.now();
    for (const [kind, { time, values }] of Object.entries(content)) {
      // Times are the stamps'; after a clock that jumped, the curve begins anew.
      const past = history[kind] ?? [];
      const going = past.length && Math.abs(time - past.at(-1)[0]) < CURVE ? past : [];
      history[kind] = [...going.filter(([then]) => then > time - CURVE && then < time), [time, values]];
    }
    repaint();
  },
  chunk(content) {
    chunk = content;
    arrived.chunk = performance.now();
    repaint();
  },
  task(content) {
    element('task').textContent = content;
    element('task').title = content;
  },
  health(statuses) {
    showHealth(statuses);
    const of = Object.fromEntries(statuses.map((status) => [status.name, status]));
    showArm(of['driver/arm']);
    showSession(of['session/progress']);
  },
};

async function showFrame(bytes) {
  const length = bytes[0];
  const name = new TextDecoder().decode(bytes.subarray(1, 1 + length));
  const camera = cameras[name];
  try {
    const image = await createImageBitmap(new Blob([bytes.subarray(1 + length)]));
    await new Promise(requestAnimationFrame);
    if (camera.canvas.width !== image.width) camera.canvas.width = image.width;
    if (camera.canvas.height !== image.height) camera.canvas.height = image.height;
    camera.canvas.getContext('2d').drawImage(image, 0, 0);
    image.close();
    camera.times.push(performance.now());
    camera.broken = false;
  } catch {
    camera.broken = true;
  }
  shown(name);
}

function newCamera(name) {
  const figure = made('figure', element('cameras'));
  figure.id = `camera-${name}`;
  const canvas = made('canvas', figure);
  canvas.width = 640;
  canvas.height = 480;
  return { figure, canvas, caption: made('figcaption', figure, name), times: [], broken: false };
}

function showArm(status) {
  const chip = element('arm');
  const state = status?.values.state ?? '';
  const silent = status?.level === 3;
  chip.hidden = !status;
  element('clear').hidden = state !== 'fault' || silent;
  if (!status) return;
  chip.textContent = silent ? 'arm: silent' : `arm: ${state}`;
  chip.title = status.message;
  chip.className = `chip ${['', 'warn', 'error', 'error'][status.level]}`;
}

function showSession(status) {
  session = status && status.level !== 3 ? status.values : null;
  element('progress').textContent = status ? status.message : 'No session on this graph.';
  const { number, total, kind, seconds, episode_time, state, outcome, reason, checkpoint, place, path } =
    session ?? {};
  element('count').textContent = Number(number) > 0 ? `${kind || 'episode'} ${number} of ${total}` : '';
  const part = Number(seconds) / Number(episode_time);
  element('elapsed').style.width = state === 'running' && part > 0 ? `${Math.min(part, 1) * 100}%` : 0;
  const name = (folder) => folder.split('/').filter(Boolean).pop() ?? '';
  element('episode').textContent = [
    outcome && (reason ? `${outcome}: ${reason}` : outcome),
    place && `place ${place}`,
    path && name(path),
  ].filter(Boolean).join(' · ');
  element('episode').title = [path, checkpoint].filter(Boolean).join('\n');
  enableButtons();
}

function enableButtons() {
  const connected = !document.body.classList.contains('disconnected');
  const going = session !== null && session.state !== 'done';
  for (const button of document.querySelectorAll('[data-press]')) {
    button.disabled = !connected || (!going && button.closest('#session') !== null);
  }
  element('reason').disabled = !connected || !going;
}

function showHealth(statuses) {
  const list = element('statuses');
  const rows = new Map([...list.querySelectorAll('details')].map((row) => [row.dataset.name, row]));
  const counts = LEVELS.map((_, level) => statuses.filter((status) => status.level === level).length);
  element('verdict').textContent =
    [2, 3, 1, 0].filter((level) => counts[level]).map((level) => `${counts[level]} ${LEVELS[level]}`).join(' · ');
  element('verdict').classList.toggle('wrong', counts[2] + counts[3] > 0);
  if (!rows.size && statuses.length) list.textContent = '';
  statuses.forEach((status, index) => {
    const row = rows.get(status.name) ?? newStatus(status.name);
    row.className = `level${status.level}`;
    const [level, , message] = row.querySelector('summary').children;
    level.textContent = LEVELS[status.level];
    message.textContent = message.title = status.message;
    const terms = Object.entries(status.values).flat();
    const list_of_values = row.querySelector('dl');
    if (row.open || !list_of_values.childElementCount) {
      list_of_values.replaceChildren();
      terms.forEach((term, i) => made(i % 2 ? 'dd' : 'dt', list_of_values, term));
    }
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    rows.delete(status.name);
  });
  rows.forEach((row) => row.remove());
}

function newStatus(name) {
  const row = document.createElement('details');
  row.dataset.name = name;
  const summary = made('summary', row);
  made('em', summary);
  made('b', summary, name);
  made('span', summary);
  made('dl', row);
  return row;
}

// Drawing.

const history = {};   // of measured and reference: [s, values] of the last seconds
let painting = false;

function repaint() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    colours = getComputedStyle(document.documentElement);
    paintJoints();
    paintView(element('above'), ABOVE);
    paintView(element('side'), SIDE);
  });
}

let colours = null;

function colour(name) {
  return colours.getPropertyValue(`--${name}`);
}

// Return the drawing context of a canvas, cleared, with its size in CSS pixels.
function cleared(canvas) {
  const scale = window.devicePixelRatio;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineCap = context.lineJoin = 'round';
  return { context, width, height };
}

function stroke(context, points, style, width) {
  if (!points.length) return;
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  context.stroke();
}

function paintJoints() {
  if (!robot) return;
  const { measured, reference } = figures;
  robot.joints.forEach((joint, index) => {
    const cells = document.querySelector(`tr[data-joint=${joint}]`).children;
    const text = (figure) => figure ? figure.values[index].toFixed(1) + robot.units[index] : '–';
    cells[1].textContent = text(measured);
    cells[2].textContent = text(reference);
    paintBar(cells[3].firstChild, index, measured, reference);
    paintCurve(cells[4].firstChild, index);
  });
}

function paintBar(canvas, index, measured, reference) {
  const { context, width, height } = cleared(canvas);
  const low = robot.low[index], high = robot.high[index];
  const at = (value) => 4 + (width - 8) * Math.min(Math.max((value - low) / (high - low), 0), 1);
  const middle = height / 2;
  const zero = at(Math.max(low, 0));
  stroke(context, [[4, middle], [width - 4, middle]], colour('line'), 5);
  if (measured) {
    const x = at(measured.values[index]);
    stroke(context, [[zero, middle], [x, middle]], colour('accent'), 5);
    stroke(context, [[x, middle - 6], [x, middle + 6]], colour('accent'), 3);
  }
  if (reference) {
    const x = at(reference.values[index]);
    stroke(context, [[x, middle - 9], [x, middle + 9]], colour('faint'), 1.5);
  }
}

function paintCurve(canvas, index) {
  const { context, width, height } = cleared(canvas);
  const curves = [['reference', 'faint', 1.2], ['measured', 'accent', 1.6]]
    .filter(([kind]) => history[kind])
    .map(([kind, name, thick]) => [
      history[kind].map(([time, values]) => [time, values[index]]), colour(name), thick,
    ]);
  if (!curves.length) return;
  const now = Math.max(...curves.map(([points]) => points.at(-1)[0]));
  const values = curves.flatMap(([points]) => points.map(([, value]) => value));
  const low = Math.min(...values), high = Math.max(...values);
  const span = Math.max(high - low, 10), middle = (low + high) / 2;   // at least 10 degrees high
  const x = (time) => width - 2 - (now - time) / CURVE * width;
  const y = (value) => height / 2 - (value - middle) / span * (height - 4);
  for (const [points, style, thick] of curves) {
    stroke(context, points.map(([time, value]) => [x(time), y(value)]), style, thick);
  }
}

// A view: which coordinates go right and up, and the metres that are seen.
const ABOVE = { right: (p) => -p[1], up: (p) => p[0], left: -0.36, bottom: -0.09, width: 0.72, height: 0.55, square: true };
const SIDE = { right: (p) => p[0], up: (p) => p[2], left: -0.14, bottom: -0.06, width: 0.62, height: 0.50, square: false };

function paintView(canvas, view) {
  const { context, width, height } = cleared(canvas);
  const scale = Math.min(width / view.width, height / view.height);
  const margin = (width - view.width * scale) / 2;
  const place = (right, up) => [
    margin + (right - view.left) * scale, height - (up - view.bottom) * scale,
  ];
  const put = (point) => place(view.right(point), view.up(point));

  // Every 10 cm a line.
  for (let k = -8; k <= 8; k++) {
    const strong = k === 0 ? 1.6 : 0.7;
    stroke(context, [[0, put([k / 10, 0, k / 10])[1]], [width, put([k / 10, 0, k / 10])[1]]], colour('line'), strong);
    const x = put([k / 10, k / 10, 0])[0];
    stroke(context, [[x, 0], [x, height]], colour('line'), strong);
  }

  if (view.square && robot) {
    const { centre: [x, y], size } = robot.square;
    const [left, top] = put([x + size / 2, y + size / 2, 0]);
    context.setLineDash([4, 4]);
    context.strokeStyle = colour('faint');
    context.lineWidth = 1;
    context.strokeRect(left, top, size * scale, size * scale);
    context.setLineDash([]);
  }

  if (figures.reference) paintArm(context, put, figures.reference, colour('faint'), 2, 0);
  if (figures.measured) paintArm(context, put, figures.measured, colour('accent'), 5, 4.5);

  const late = chunk ? (performance.now() - arrived.chunk) / 1000 - chunk.seconds.at(-1) : Infinity;
  if (late < 1) {
    // Dots, not so dense that they run together; the later, the paler.
    let last = [Infinity, Infinity];
    chunk.points.forEach((point, index) => {
      const [x, y] = put(point);
      if (Math.hypot(x - last[0], y - last[1]) < 7) return;
      last = [x, y];
      context.globalAlpha = 1 - 0.7 * index / chunk.points.length;
      disc(context, x, y, 3, colour('accent'), colour('card'), 1);
    });
    context.globalAlpha = 1;
  }
}

function paintArm(context, put, figure, style, thick, dot) {
  const points = figure.arm.map(put);
  stroke(context, points, style, thick);
  stroke(context, figure.jaw.map(put), style, Math.max(thick - 2, 1.5));
  if (!dot) return;
  for (const [x, y] of points.slice(0, -1)) disc(context, x, y, dot, colour('card'), style, 2);
}

function disc(context, x, y, radius, fill, edge, thick) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.strokeStyle = edge;
  context.lineWidth = thick;
  context.stroke();
}

// What has not been heard of for a while says so.
setInterval(() => {
  const now = performance.now();
  if (document.hidden) return;
  for (const [name, camera] of Object.entries(cameras)) {
    camera.times = camera.times.filter((time, index, all) => time > now - 2000 || index === all.length - 1);
    const age = now - (camera.times.at(-1) ?? -Infinity);
    const stale = age > STALE || camera.broken;
    camera.figure.classList.toggle('stale', stale);
    const rate = camera.times.filter((time) => time > now - 2000).length / 2;
    const since = age < Infinity ? `for ${(age / 1000).toFixed(0)} s` : 'yet';
    const trouble = camera.broken ? 'not a picture' : `no picture ${since}`;
    camera.caption.textContent = stale ? `${name}: ${trouble}` : `${name} · ${rate.toFixed(0)} Hz`;
  }
  const age = now - (arrived.joints ?? now);
  document.querySelector('#joints tbody').classList.toggle('stale', age > STALE);
  element('silence').textContent = age > STALE ? `silent for ${(age / 1000).toFixed(0)} s` : '';
  if (arrived.chunk) repaint();
  if (socket?.readyState === WebSocket.OPEN && now - heard > GONE) {
    socket.onclose = null;   // whoever does not answer does not say goodbye either
    socket.close();
    setConnected(false);
    reconnect();
  }
}, 500);

document.addEventListener('visibilitychange', () => { heard = performance.now(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
addEventListener('resize', repaint);

// Buttons.

let hiding = 0;

function answer(text, success) {
  const bubble = element('answer');
  bubble.textContent = text;
  bubble.className = success ? 'visible' : 'visible refused';
  clearTimeout(hiding);
  hiding = setTimeout(() => { bubble.className = ''; }, 6000);
}

async function press(button) {
  const labels = ['succeed', 'fail'].includes(button);
  const body = labels ? element('reason').value : '';
  try {
    const response = await fetch(`/press/${button}`, { method: 'POST', headers: { 'X-Token': token }, body });
    if (!response.ok) throw new Error(await response.text());
    const { success, message } = await response.json();
    answer(`${button}: ${message || (success ? 'done' : 'refused')}`, success);
    if (labels && success) element('reason').value = '';
  } catch (error) {
    answer(`${button}: ${error.message}`, false);
  }
}

for (const button of document.querySelectorAll('[data-press]')) {
  button.addEventListener('click', () => press(button.dataset.press));
}

enableButtons();
connect();
