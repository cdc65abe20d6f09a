"""血液透析信息系统：the reference system that the runbooks maintain. Release 2.0.0."""

VERSION = "2.0.0"
