"""What checks expect and measure, in Chinese: their expressions speak in short English phrases and in names of settings.

Names of settings, files and values stay as they are. A phrase is only replaced where it stands by itself, so that what
a host is called, or what a setting is worth, is never translated.
"""

from __future__ import annotations

import re
from functools import cache

_PHRASES = """
no mount of its own | 没有单独挂载
no rule for ssh was found | 没有放行 ssh 的规则
from anywhere | 任意地址可达
from named addresses | 仅指定地址
named addresses | 指定地址
named clients, root_squash | 指定客户端，root_squash
<> 0.0.0.0/0, ::/0, all | 不为 0.0.0.0/0、::/0、all
AllowGroups or AllowUsers | AllowGroups 或 AllowUsers
password, or commands named | 需口令，或只限指定命令
a password, or peer, cert, gss, ldap, pam or radius | 口令，或 peer、cert、gss、ldap、pam、radius
refused by visudo | visudo 不接受
valid | 有效
no !authenticate | 没有 !authenticate
right: in, wrong: refused | 正确口令可进，错误口令被拒
right: in | 正确口令可进
right: refused | 正确口令被拒
wrong: in | 错误口令可进
wrong: refused | 错误口令被拒
not counted | 未计数
counted | 已计数
enters | 可进入
refused | 被拒绝
pam_faillock in account | account 栈有 pam_faillock
pam_wheel, required | pam_wheel，required
pam_pwquality, requisite, before pam_unix | pam_pwquality，requisite，在 pam_unix 之前
quality module before pam_unix | 口令强度模块在 pam_unix 之前
with a second factor in PAM, or a bastion that asks for two | 且 PAM 有第二因素，或经双因素堡垒机
true, or no password of root over the network | true，或 root 不能以口令远程登录
absent, or no login | 不存在，或不能登录
locked / none | 锁定 / 无
an owner that cannot log in, or the administrator | 属主不能登录，或为管理员
after installation | 安装之后
or since installation | 或自安装以来
not past | 未到期
not none | 不为空
not empty | 不为空
none is true | 都不为 true
none, or encrypted | 没有，或已加密
encrypted, or none | 已加密，或没有
none from afar, or clientcert=verify-full and a password | 不能远程登录，或 clientcert=verify-full 且需口令
none of | 都不在：
none | 没有
no name twice | 没有重名
no nullok | 没有 nullok
no right for others | 他人无权限
no right to write; pg_hba and pg_ident no right at all for others | 他人不可写；pg_hba、pg_ident 他人无任何权限
no superuser | 不是超级用户
no failure since the last success | 最近一次成功以来没有失败
no weaker than the server's | 不弱于服务器的设置
no guest | 没有来宾
no community | 没有团体名
no halt, no single | 没有 halt、single
no hmac-sha1 | 没有 hmac-sha1
no md5, no 64 or 96 bits | 没有 md5，没有 64、96 位
no group1, no SHA-1 | 没有 group1、SHA-1
no 3des, rc4, blowfish, cast, cbc | 没有 3des、rc4、blowfish、cast、cbc
no MEDIUM, LOW, EXPORT, NULL, RC4, DES, 3DES, MD5 | 没有 MEDIUM、LOW、EXPORT、NULL、RC4、DES、3DES、MD5
no DSA, RSA >= 2048 | 没有 DSA，RSA >= 2048
no ssh-rsa, no ssh-dss | 没有 ssh-rsa、ssh-dss
RSA >= 2048, EC, SM2; no SHA-1 | RSA >= 2048、EC、SM2；没有 SHA-1
no SHA-1 | 没有 SHA-1
no CONNECT | 没有 CONNECT
no TEMPORARY | 没有 TEMPORARY
no command | 没有命令
no data base | 没有基线库
no limit | 没有上限
version 3, no community | 第 3 版，没有团体名
a port of a log server | 日志服务器的接收端口
a log server | 日志服务器
the line that was just sent | 刚才发出的那一行
not found within | 未找到，已等
found after | 已找到，用时
a module | 口令强度模块
an agent | 监控代理
one that runs | 有一个在运行
a timer of AIDE, active | AIDE 的定时器，运行中
a timer or job, run within | 有定时任务，且运行于此时限内：
AIDE with a data base | AIDE 及其基线库
absolute folders only | 只有绝对路径
auditd active | auditd 运行中
rules on input | 对入站有规则
nftables, ufw, firewalld or netfilter-persistent | nftables、ufw、firewalld 或 netfilter-persistent
rsyslog, syslog-ng or journald | rsyslog、syslog-ng 或 journald
file, collector, syslog or journal | 文件、收集器、syslog 或 journal
on, and offered to who asks | 已启用，且客户端可用
on, or guarded by the application (documented) | 已启用，或由应用控制（有文件说明）
on, with a command | 已启用，且有命令
on-failure or always | on-failure 或 always
queue on disk | 磁盘队列
rotate or keep_logs | rotate 或 keep_logs
the installed one | 已安装的版本
owner in the comment | 注释写明属于谁
bytea, or documented | bytea，或有文件说明
LUKS, or encrypted columns with evidence | LUKS，或列加密且有证据
granted to some only | 只授予部分角色
PUBLIC may execute | PUBLIC 可执行
search_path not set | 没有固定 search_path
search_path set | 已固定 search_path
postgres is refused | 拒绝 postgres
pgaudit.role, or the class read, or log_statement = all | pgaudit.role，或 read 类，或 log_statement = all
credcheck or passwordcheck | credcheck 或 passwordcheck
hostssl or hostgssenc | hostssl 或 hostgssenc
ident only from this host | ident 只限本机
or TLS forced | 或强制 TLS
>= 6 months, or no limit | >= 6 个月，或没有上限
0 s, or every service role has its own | 0 秒，或每个服务角色都有自己的时限
each kind >= 1 | 每类 >= 1
0600, or 0640 with a group of keys | 0600，或 0640 且属组为密钥组
0700 or 0770; 0777 in part, without trust | 0700 或 0770；0777 且无 trust 为部分符合
027 or 077 | 027 或 077
0600 or 0640 | 0600 或 0640
0700 or 0750 | 0700 或 0750
0700 or 0770 | 0700 或 0770
0 or 4 or 16 or 176 | 0、4、16 或 176
1 or 2 or 3 | 1、2 或 3
2 or 3 or 4 | 2、3 或 4
1 or 2 | 1 或 2
INFO or VERBOSE | INFO 或 VERBOSE
%h or %r | %h 或 %r
%m, %t or %n | %m、%t 或 %n
%p or %c | %p 或 %c
%u and %d | %u 与 %d
streaming to the second site | 正在复制到异地
enforcing / enabled | enforcing / 已启用
not in this kernel | 内核没有此项
not encrypted | 未加密
not listed | 未登记
not loaded, refused | 未加载，且拒绝加载
not loaded | 未加载
not synchronised | 未同步
not offered | 客户端不可用
offered | 客户端可用
synchronised | 已同步
encrypted | 已加密
supported | 在支持期内
listed | 已登记
enabled | 已启用
disabled | 未启用
active | 运行中
inactive | 未运行
masked | 已屏蔽
loaded | 已加载
restarts | 会重启
broken | 有错误
exposed | 对外开放
reachable | 可达
kept | 保留
never | 从未
granted | 已授予部分角色
written within | 最近写入不早于
written | 有写入
failures | 次失败
communities | 个团体名
last | 最近
oldest | 最早
files | 个文件
rules | 条规则
tables | 张表
queue | 队列
anonymous | 匿名
guest | 来宾
success | 成功
failed | 失败
comment | 注释
in limits.capable_programs | 在批准清单内
in limits.privileged_programs | 在批准清单内
in limits.roster | 在名册内
d at the present rate, or sent away | 天（按现在的速度），或已外送
keys | 个密钥
secure boot | 安全启动
row security | 行级安全
memory | 内存
set | 已设置
ok | 正常
owner | 属主
has no file system of its own | 没有单独的文件系统
is not there: its package is not installed | 不存在：软件包未安装
is not there for the server: put it there first | 服务器读不到：请先放好
is not installed | 未安装
does not know | 不认识
the server | 服务器
load its library first | 请先加载其库
it would shut out | 会挡住
from where this connection comes | 即本次连接的来源
let them in, or list them in harden_ssh.spared | 请放行，或列入 harden_ssh.spared
who makes this change, would not become root any more | 即执行本次变更的账户，将不能再成为 root
who makes this change, has given no password for sudo | 即执行本次变更的账户，没有提供 sudo 口令
list the account in automation_accounts | 请登记到 automation_accounts
or come in with --ask-become-pass | 或用 --ask-become-pass 登录
it is not known which account this connection is of | 不知道本次连接属于哪个账户
it is not known from which address this connection comes | 不知道本次连接来自哪个地址
has sessions from | 有会话来自
a session comes from | 有会话来自
which is in none of the networks | 不在所列网段内
sessions come by | 有会话经由
which is not listed | 不在所列地址内
mend it by hand | 由人处理
the line has names in quotes | 该行的名称带引号
it is a standby: what its primary is given arrives by itself | 本机是备库：主库改了自会复制过来
the audit rules are fixed until the next start: undo that (LNX-AU-24), restart, then harden again |
    审计规则已锁定到重启：先撤销 LNX-AU-24，重启，再加固
the audit rules stay fixed (-e 2) until the next start of the host, also after an undo |
    审计规则锁定（-e 2）到主机下次启动，撤销之后也是如此
the kernel's command line is in force after the next start of the host | 内核启动参数在主机下次启动后生效
is mounted with the next start | 在下次启动时挂载
it would take away | 还会一并删除
as well: decide on these first | 请先决定这些
the package | 软件包
there is no unit | 没有该单元：
there is no account | 没有该账户：
there is no group | 没有该组：
this kernel has no | 内核没有：
scram | scram
"""
_COUNTED = "(?:failures|keys|files|rules|tables|communities)"  # after a number
_WORD = r"[A-Za-z0-9_.:/%!<>=-]"


@cache
def _table() -> tuple[dict[str, str], re.Pattern[str]]:
    """The phrases, and a pattern that finds the longest of them by itself; a single word counts between commas alone."""
    lines = _PHRASES.strip().replace(" |\n    ", " | ").splitlines()
    pairs = (line.split(" | ") for line in lines)
    table = {english.strip(): chinese.strip() for english, chinese in pairs}
    several = sorted((phrase for phrase in table if " " in phrase), key=len, reverse=True)
    either = "|".join(map(re.escape, several))
    return table, re.compile(rf"(?<!{_WORD})(?:{either})(?!{_WORD})")


def in_chinese(text: str) -> str:
    """The text of a check with its phrases in Chinese."""
    table, pattern = _table()
    whole = table.get(text.strip())
    if whole is not None:
        return whole
    text = pattern.sub(lambda match: table[match.group()], text)
    text = re.sub(rf"(?<=\d ){_COUNTED}\b", lambda match: table[match.group()], text)
    text = re.sub(r"(?<=\d) to (?=\d)", " 至 ", text).replace("; or log_statement: ", "；或 log_statement：")
    parts = re.split(r"((?:[;,；，] )| / |: |（|）|\(|\))", text)
    return "".join(table.get(part.strip(), part) if part.strip() in table else part for part in parts)
